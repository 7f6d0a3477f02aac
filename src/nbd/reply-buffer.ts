import { EMPTY } from './wire.js';

/** Room for many small replies in one write. Larger than the largest reply made in place (`MAX_IN_PLACE`). */
const SLAB_BYTES = 256 << 10;
/** Replies up to here are made in the slab, where they go out together; longer ones get memory of their own. */
export const MAX_IN_PLACE = 64 << 10;

/**
 * Replies of one connection, gathered until `take`. Small ones are made in place, one behind the other in a slab,
 * so that back ends read straight into what is sent. The order is that of `commit` and `append`.
 */
export class ReplyBuffer {
  #slab: Buffer = EMPTY;
  /** In the slab: committed bytes not yet taken are `#start … #end`. */
  #start = 0;
  #end = 0;
  #pieces: Buffer[] = [];
  #length = 0;

  /** Bytes waiting to be taken. */
  get length(): number {
    return this.#length;
  }

  /** Room for a reply of `length` bytes, at most `MAX_IN_PLACE`: follow with `commit`, `detach` or nothing. */
  reserve(length: number): Buffer {
    if (this.#slab.byteLength - this.#end < length) {
      this.#cut();
      this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
      this.#start = this.#end = 0;
    }
    return this.#slab.subarray(this.#end, this.#end + length);
  }

  /** What was reserved last is a whole reply now. */
  commit(length: number): void {
    this.#end += length;
    this.#length += length;
  }

  /** What was reserved last is still being made: it is the caller's own, to be appended later or dropped. */
  detach(length: number): void {
    this.#cut();
    this.#end += length;
    this.#start = this.#end;
  }

  /** Adds a reply made elsewhere; the buffer now belongs to the socket. */
  append(piece: Buffer): void {
    this.#cut();
    this.#pieces.push(piece);
    this.#length += piece.byteLength;
  }

  /** All that is waiting, in order. */
  take(): Buffer[] {
    this.#cut();
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#length = 0;
    return pieces;
  }

  #cut(): void {
    if (this.#end > this.#start) this.#pieces.push(this.#slab.subarray(this.#start, this.#end));
    this.#start = this.#end;
  }
}
