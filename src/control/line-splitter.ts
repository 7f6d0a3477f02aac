/** Cuts a byte stream into lines of a bounded length; cost is linear in the bytes. */
export class LineSplitter {
  readonly #limit: number;
  #pieces: Buffer[] = [];
  #held = 0;

  /** `limit`: bytes of the longest line, its end not counted. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The lines that `chunk` completes, as UTF-8. Throws RangeError once a line is longer than the limit. */
  push(chunk: Buffer): string[] {
    const lines: string[] = [];
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      this.#keep(chunk.subarray(start, end));
      lines.push(Buffer.concat(this.#pieces).toString('utf8'));
      this.#pieces = [];
      this.#held = 0;
      start = end + 1;
    }
    this.#keep(chunk.subarray(start));
    return lines;
  }

  #keep(piece: Buffer): void {
    this.#held += piece.length;
    if (this.#held > this.#limit) throw new RangeError(`a line of more than ${this.#limit} bytes`);
    if (piece.length > 0) this.#pieces.push(piece);
  }
}
