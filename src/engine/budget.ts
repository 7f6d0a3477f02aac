/** The space before-images may take, shared by all epochs of a volume. */
export class Budget {
  #used = 0;

  constructor(readonly limit: number) {}

  /** Bytes taken now; may be above the limit after `force`. */
  get used(): number {
    return this.#used;
  }

  /** Takes `bytes` if, with them, no more than `share` (0 … 1) of the budget is used; else takes nothing. */
  take(bytes: number, share = 1): boolean {
    if (bytes > 0 && this.#used + bytes > this.limit * share) return false;
    this.#used += bytes;
    return true;
  }

  /** Takes what exists already. */
  force(bytes: number): void {
    this.#used += bytes;
  }

  give(bytes: number): void {
    this.#used -= bytes;
  }
}
