/** Buffers are made in multiples of this, so that requests of about one length use each other's. */
const UNIT_BYTES = 64 << 10;
/** Unused buffers that are kept. */
const MAX_KEPT_BYTES = 16 << 20;

/**
 * Memory for long payloads and replies, used again: left to the garbage collector, a few hundred of them a second are
 * enough to keep it marking the whole heap. What is not given back, such as after a failure, is collected as ever.
 */
export class BufferPool {
  readonly #kept = new Map<number, Buffer[]>();
  /** By its memory, what `take` has given out. */
  readonly #lent = new WeakMap<ArrayBufferLike, Buffer>();
  #keptBytes = 0;

  /** `length` bytes of any content, the caller's own until `give`. */
  take(length: number): Buffer {
    const size = Math.ceil(length / UNIT_BYTES) * UNIT_BYTES;
    const kept = this.#kept.get(size)?.pop();
    if (kept !== undefined) this.#keptBytes -= size;
    const whole = kept ?? Buffer.allocUnsafeSlow(size);
    this.#lent.set(whole.buffer, whole);
    return whole.subarray(0, length);
  }

  /** Takes back what was taken, or a part of it: nobody may use any of it afterwards. Memory from elsewhere is left alone. */
  give(buffer: Buffer): void {
    const whole = this.#lent.get(buffer.buffer);
    if (whole === undefined) return;
    this.#lent.delete(whole.buffer);
    const size = whole.length;
    if (size > MAX_KEPT_BYTES) return;
    if (this.#keptBytes + size > MAX_KEPT_BYTES) {
      // What nobody asks for any more must not be in the way of what is asked for now.
      this.#kept.clear();
      this.#keptBytes = 0;
    }
    this.#keptBytes += size;
    const kept = this.#kept.get(size);
    if (kept === undefined) this.#kept.set(size, [whole]);
    else kept.push(whole);
  }
}
