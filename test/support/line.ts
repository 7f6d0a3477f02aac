/** A connection between two appliances with the test in the middle: it counts, and it can be broken. */
export interface Line {
  /** Bytes that came out of each end, over all of the line's lives. The primary is on the left. */
  readonly bytes: { readonly leftToRight: number; readonly rightToLeft: number; readonly total: number };
  /** Resolves when so many more bytes have crossed, both directions together. */
  crossed(more: number): Promise<void>;
  /** Breaks it; bytes under way are lost. */
  cut(): Promise<void>;
  /** Brings it back as it was. */
  restore(): Promise<void>;
}

/** Counts the bytes of a line and tells who waits for a count. */
export class ByteMeter {
  readonly #marks: { readonly total: number; readonly reached: () => void }[] = [];
  #leftToRight = 0;
  #rightToLeft = 0;

  get bytes(): Line['bytes'] {
    return {
      leftToRight: this.#leftToRight,
      rightToLeft: this.#rightToLeft,
      total: this.#leftToRight + this.#rightToLeft,
    };
  }

  async crossed(more: number): Promise<void> {
    const total = this.bytes.total + more;
    await new Promise<void>((reached) => this.#marks.push({ total, reached }));
  }

  count(leftToRight: number, rightToLeft: number): void {
    this.#leftToRight += leftToRight;
    this.#rightToLeft += rightToLeft;
    const { total } = this.bytes;
    for (const mark of this.#marks.filter((each) => each.total <= total)) {
      this.#marks.splice(this.#marks.indexOf(mark), 1);
      mark.reached();
    }
  }
}
