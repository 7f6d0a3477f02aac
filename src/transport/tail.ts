import { FRAME_DELIMITER, MAX_ENCODED_FRAME } from '../../protocol/framing/limits.js';

/** What has come of a frame that is not ended yet, of at most a frame's length: a longer stretch is noise. */
export class Tail {
  #pieces: Uint8Array[] = [];
  #length = 0;

  /** The chunk may be a view that its owner uses again. */
  push(chunk: Uint8Array): void {
    const end = chunk.lastIndexOf(FRAME_DELIMITER);
    if (end >= 0) {
      this.#pieces = [];
      this.#length = 0;
    }
    this.#length += chunk.length - end - 1;
    if (this.#length > MAX_ENCODED_FRAME) this.#pieces = [];
    else if (end + 1 < chunk.length) this.#pieces.push(Uint8Array.from(chunk.subarray(end + 1)));
  }

  /** Something has come of it. */
  get isOpen(): boolean {
    return this.#length > 0;
  }

  /** Fresh; empty when there is nothing. */
  get bytes(): Uint8Array {
    return Buffer.concat(this.#pieces);
  }
}
