import { EMPTY } from './wire.js';

/**
 * Received bytes in the chunks they came in, taken from the front. Copies only what lies across two chunks.
 * Chunks pushed belong to the queue; what `take` returns may be a view of one.
 */
export class ByteQueue {
  readonly #later: Buffer[] = [];
  #chunk: Buffer = EMPTY;
  #position = 0;
  #length = 0;

  /** Bytes held. */
  get length(): number {
    return this.#length;
  }

  /** The first chunk, to be read from `position` on after `has`; a view until the next call. */
  get chunk(): Buffer {
    return this.#chunk;
  }

  get position(): number {
    return this.#position;
  }

  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    if (this.#length === 0) {
      this.#chunk = chunk;
      this.#position = 0;
    } else if (this.#later.length === 0 && follows(this.#chunk, chunk)) {
      const bytes = this.#chunk.length + chunk.length;
      this.#chunk = Buffer.from(chunk.buffer, this.#chunk.byteOffset, bytes);
    } else {
      this.#later.push(chunk);
    }
    this.#length += chunk.length;
  }

  /** True when `count` bytes are held; then they lie in `chunk` from `position` on. For short things. */
  has(count: number): boolean {
    if (this.#length < count) return false;
    if (this.#chunk.length - this.#position >= count) return true;
    const joined = Buffer.allocUnsafe(count);
    const length = this.#length;
    this.copyInto(joined, 0);
    if (this.#length > 0) this.#later.unshift(this.#chunk.subarray(this.#position));
    this.#chunk = joined;
    this.#position = 0;
    this.#length = length;
    return true;
  }

  /** The next `count` bytes; undefined when fewer are held. */
  take(count: number): Buffer | undefined {
    if (!this.has(count)) return undefined;
    const taken = this.#chunk.subarray(this.#position, this.#position + count);
    this.skip(count);
    return taken;
  }

  /** Fills `target` from `at` on with what is held; returns how many bytes it copied. */
  copyInto(target: Buffer, at: number): number {
    let copied = 0;
    while (this.#length > 0 && at + copied < target.length) {
      const count = this.#chunk.copy(target, at + copied, this.#position);
      this.skip(count);
      copied += count;
    }
    return copied;
  }

  /** Drops up to `count` bytes; returns how many. */
  skip(count: number): number {
    const wanted = Math.min(count, this.#length);
    let left = wanted;
    while (left > 0) {
      const step = Math.min(left, this.#chunk.length - this.#position);
      this.#position += step;
      this.#length -= step;
      left -= step;
      if (this.#position === this.#chunk.length) {
        this.#chunk = this.#later.shift() ?? EMPTY;
        this.#position = 0;
      }
    }
    return wanted;
  }

  clear(): void {
    this.skip(this.#length);
  }
}

/** Does a chunk lie right behind another in memory. */
const follows = (first: Buffer, second: Buffer): boolean =>
  first.buffer === second.buffer && first.byteOffset + first.length === second.byteOffset;
