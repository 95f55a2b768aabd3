/** Bounds how much is under way where a transport's own queue would grow without end. */
export class InFlight {
  readonly #most: number;
  #count = 0;
  #failure: unknown;
  #waiting: { resolve(): void; reject(error: unknown): void }[] = [];

  constructor(most: number) {
    this.#most = most;
  }

  get isFull(): boolean {
    if (this.#failure !== undefined) throw this.#failure;
    return this.#count >= this.#most;
  }

  begin(): void {
    this.#count++;
  }

  end(error?: unknown): void {
    this.#count--;
    this.#settle(error);
  }

  /** What is under way will never end. */
  fail(error: Error): void {
    this.#settle(error);
  }

  /** Resolves when something has ended, at once where there is room. */
  async room(): Promise<void> {
    if (this.isFull) await this.#next();
  }

  async idle(): Promise<void> {
    while (this.#count > 0) await this.#next();
    if (this.#failure !== undefined) throw this.#failure;
  }

  #settle(error: unknown): void {
    this.#failure ??= error;
    for (const { resolve, reject } of this.#waiting.splice(0)) this.#failure === undefined ? resolve() : reject(this.#failure);
  }

  #next(): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }
}
