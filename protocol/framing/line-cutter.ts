import { FRAME_DELIMITER, MAX_ENCODED_FRAME } from './limits.js';

/**
 * Cuts a byte stream at the delimiters, in memory bounded by one frame and time linear in the bytes. A stretch without
 * a delimiter that is longer than any frame is dropped up to the next delimiter.
 */
export class LineCutter {
  readonly #limit: number;
  readonly #pieces: Uint8Array[] = [];
  #length = 0;
  #dropped = 0;

  /** `limit`: longest frame to pass on, in bytes without the delimiter. */
  constructor(limit = MAX_ENCODED_FRAME) {
    this.#limit = limit;
  }

  /** Bytes thrown away because they were in no frame. */
  get dropped(): number {
    return this.#dropped;
  }

  /** The frames that `chunk` completes, without delimiters, never empty. They may be views of `chunk`. */
  push(chunk: Uint8Array): Uint8Array[] {
    const frames: Uint8Array[] = [];
    for (let at = 0; at < chunk.length;) {
      const found = chunk.indexOf(FRAME_DELIMITER, at);
      const end = found < 0 ? chunk.length : found;
      this.#append(chunk.subarray(at, end), found < 0);
      if (found < 0) break;
      const frame = this.#take();
      if (frame !== undefined) frames.push(frame);
      at = found + 1;
    }
    return frames;
  }

  #append(part: Uint8Array, outlivesChunk: boolean): void {
    if (part.length === 0) return;
    this.#length += part.length;
    if (this.#length <= this.#limit) {
      this.#pieces.push(outlivesChunk ? Uint8Array.from(part) : part);
    } else {
      this.#pieces.length = 0;
    }
  }

  #take(): Uint8Array | undefined {
    const length = this.#length;
    const pieces = this.#pieces.splice(0);
    this.#length = 0;
    if (length > this.#limit) {
      this.#dropped += length;
      return undefined;
    }
    return pieces.length > 1 ? Buffer.concat(pieces, length) : pieces[0];
  }
}
