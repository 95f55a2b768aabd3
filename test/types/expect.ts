/** True if two types are the same, void and undefined and any told apart. */
export type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Fails to compile unless the type is true. */
export type Expect<T extends true> = T;
