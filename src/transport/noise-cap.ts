import { Transform, type TransformCallback } from 'node:stream';

/**
 * Stands before the delimiter parser, which keeps bytes without a delimiter for ever and at quadratic cost: what
 * stands between two delimiters and is longer than `limit` is cut there, and the rest up to the next delimiter dropped.
 */
export class NoiseCap extends Transform {
  readonly #limit: number;
  readonly #delimiter: number;
  #length = 0;

  constructor(limit: number, delimiter: number) {
    super();
    this.#limit = limit;
    this.#delimiter = delimiter;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    for (let at = 0; at < chunk.byteLength;) {
      const found = chunk.indexOf(this.#delimiter, at);
      const end = found < 0 ? chunk.byteLength : found;
      const room = Math.max(0, this.#limit - this.#length);
      const kept = chunk.subarray(at, Math.min(end, at + room));
      if (kept.byteLength > 0) this.push(kept);
      this.#length += end - at;
      if (found < 0) break;
      this.push(chunk.subarray(found, found + 1));
      this.#length = 0;
      at = found + 1;
    }
    done();
  }
}
