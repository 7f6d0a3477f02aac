/** Longer than any result code; what a line has beyond it is dropped. */
const MAX_LINE = 128;

const LF = 0x0a;
const CR = 0x0d;

/**
 * Cuts what a modem says into lines, in memory bounded by one line. A line is over with its CR: what follows a CONNECT
 * belongs to the call, down to the byte.
 */
export class ResultReader {
  #line = '';
  #wasCr = false;

  /** The last line ended with a CR whose LF has not come yet. */
  get lineFeedDue(): boolean {
    return this.#wasCr;
  }

  /**
   * Reads `bytes` from `at` to the end of the first line that is not empty. `end` is the position behind it (its LF
   * included, if it is there). undefined: all was read and the line is still unfinished.
   */
  next(bytes: Uint8Array, at: number): { readonly line: string; readonly end: number } | undefined {
    for (let position = at; position < bytes.length; position++) {
      const byte = bytes[position] as number;
      const afterCr = this.#wasCr;
      this.#wasCr = byte === CR;
      if (byte === LF && afterCr) continue;
      if (byte !== CR && byte !== LF) {
        this.#take(byte);
        continue;
      }
      const line = this.#line;
      this.#line = '';
      if (line.trim() === '') continue;
      return { line, end: this.#behindLineFeed(bytes, position + 1) };
    }
    return undefined;
  }

  /** Bytes that no text has are what line noise and a wrong speed make. */
  #take(byte: number): void {
    if (byte < 0x20 || byte > 0x7e) return;
    if (this.#line.length < MAX_LINE) this.#line += String.fromCharCode(byte);
  }

  #behindLineFeed(bytes: Uint8Array, position: number): number {
    if (!this.#wasCr || bytes[position] !== LF) return position;
    this.#wasCr = false;
    return position + 1;
  }
}
