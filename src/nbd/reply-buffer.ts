import type { BufferPool } from './buffer-pool.js';

/** Room for many small replies in one write. Larger than the largest reply made in place (`MAX_IN_PLACE`). */
const SLAB_BYTES = 256 << 10;
/** Replies up to here are made in the slab, where they go out together; longer ones get memory of their own. */
export const MAX_IN_PLACE = 64 << 10;

/** Memory for small replies. */
class Slab {
  /** Committed bytes not yet cut into a piece are `start … end`. */
  start = 0;
  end = 0;
  /** Pieces of it that are being made or sent. */
  pieces = 0;

  constructor(readonly bytes: Buffer) {}
}

/**
 * Replies of one connection, gathered until `take`. Small ones are made in place, one behind the other in a slab,
 * so that back ends read straight into what is sent. The order is that of `commit` and `append`.
 */
export class ReplyBuffer {
  readonly #pool: BufferPool;
  readonly #slabs = new Map<ArrayBufferLike, Slab>();
  #slab: Slab | null = null;
  #pieces: Buffer[] = [];
  #length = 0;

  /** Long replies that are appended may come from `pool`; they go back there when they are sent. */
  constructor(pool: BufferPool) {
    this.#pool = pool;
  }

  /** Bytes waiting to be taken. */
  get length(): number {
    return this.#length;
  }

  /** Room for a reply of `length` bytes, at most `MAX_IN_PLACE`: follow with `commit`, `detach` or nothing. */
  reserve(length: number): Buffer {
    const slab = this.#slabWith(length);
    return slab.bytes.subarray(slab.end, slab.end + length);
  }

  /** What was reserved last is a whole reply now. */
  commit(length: number): void {
    if (this.#slab !== null) this.#slab.end += length;
    this.#length += length;
  }

  /** What was reserved last is still being made: it is the caller's own, to be appended later or dropped. */
  detach(length: number): void {
    this.#cut();
    if (this.#slab === null) return;
    this.#slab.end += length;
    this.#slab.start = this.#slab.end;
    this.#slab.pieces++;
  }

  /** Adds a reply made elsewhere, or detached; the buffer now belongs to the socket. */
  append(piece: Buffer): void {
    this.#cut();
    this.#pieces.push(piece);
    this.#length += piece.length;
  }

  /** All that is waiting, in order; tell `sent` when the socket is done with it. */
  take(): Buffer[] {
    this.#cut();
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#length = 0;
    return pieces;
  }

  /** The socket is done with these, or they will never be sent: their memory may be used again. */
  sent(pieces: readonly Buffer[]): void {
    for (const piece of pieces) {
      const slab = this.#slabs.get(piece.buffer);
      if (slab === undefined) this.#pool.give(piece);
      else if (--slab.pieces === 0) this.#settled(slab);
    }
  }

  #slabWith(room: number): Slab {
    const current = this.#slab;
    if (current !== null && current.bytes.length - current.end >= room) return current;
    this.#cut();
    // Sent to the end: from its beginning again. Else it goes back to the pool when the last piece is sent.
    if (current !== null && current.pieces === 0) {
      current.start = current.end = 0;
      return current;
    }
    this.#slab = new Slab(this.#pool.take(SLAB_BYTES));
    this.#slabs.set(this.#slab.bytes.buffer, this.#slab);
    return this.#slab;
  }

  #settled(slab: Slab): void {
    if (slab !== this.#slab) this.#retire(slab);
    else if (slab.start === slab.end) slab.start = slab.end = 0;
  }

  #retire(slab: Slab): void {
    this.#slabs.delete(slab.bytes.buffer);
    this.#pool.give(slab.bytes);
  }

  #cut(): void {
    const slab = this.#slab;
    if (slab === null) return;
    if (slab.end > slab.start) {
      this.#pieces.push(slab.bytes.subarray(slab.start, slab.end));
      slab.pieces++;
    }
    slab.start = slab.end;
  }
}
