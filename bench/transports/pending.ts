interface Waiting<T> {
  resolve(reply: T): void;
  reject(error: Error): void;
}

/** Calls in the order in which they were made, for transports that answer in that order. */
export class PendingCalls<T = Uint8Array> {
  readonly #waiting: Waiting<T>[] = [];
  #failure: Error | undefined;

  add(): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#failure) reject(this.#failure);
      else this.#waiting.push({ resolve, reject });
    });
  }

  settle(reply: T): void {
    this.#waiting.shift()?.resolve(reply);
  }

  fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }
}
