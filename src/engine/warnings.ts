/** What is wrong with a volume now, one sentence for each kind of trouble; the newest sentence of a kind counts. */
export class Warnings {
  readonly #texts = new Map<string, string>();

  set(kind: string, text: string): void {
    this.#texts.set(kind, text);
  }

  clear(kind: string): void {
    this.#texts.delete(kind);
  }

  has(kind: string): boolean {
    return this.#texts.has(kind);
  }

  list(): string[] {
    return [...this.#texts.values()];
  }
}
