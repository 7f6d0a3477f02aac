import type { BufferPool } from './buffer-pool.js';
import type { ByteQueue } from './byte-queue.js';
import { Errno } from './errno.js';
import { MAX_SKIPPED_BYTES } from './limits.js';
import { checkRequest, type RequestRules } from './request.js';
import { Command, EMPTY, readRequest, REQUEST_BYTES, type RequestHeader } from './wire.js';

/** A payload up to here is waited for where it is received; of a longer one, every part goes to its place at once. */
const WAITED_FOR_BYTES = 64 << 10;

/** A request that is all here and was checked. */
export interface Request {
  readonly header: RequestHeader;
  /** Not `none`: refused; no work may be done for it. */
  readonly error: Errno;
  /** Of an accepted WRITE: a view of a received chunk, or of the pool, to which it is to be given back. */
  readonly payload: Buffer;
  /** The payload was gathered in a place of its own: what is received next does not touch it. */
  readonly isGathered: boolean;
}

/** `broken`: the stream has lost step and cannot be followed any more. */
export type ReadStep = Request | 'more' | 'broken';

/** Cuts the transmission phase's bytes into checked requests. Never copies a payload that lies in one chunk. */
export class RequestReader {
  readonly #input: ByteQueue;
  readonly #rules: RequestRules;
  readonly #pool: BufferPool;
  /** The request that is next, checked, while it is not all here. */
  #pending: RequestHeader | null = null;
  #error: Errno = Errno.none;
  /** Where a long payload is gathered, with room behind it for the next header; else empty. */
  #place: Buffer = EMPTY;
  /** Bytes of the payload gathered, or skipped when the request is refused. */
  #done = 0;
  #broken = false;

  constructor(input: ByteQueue, rules: RequestRules, pool: BufferPool) {
    this.#input = input;
    this.#rules = rules;
    this.#pool = pool;
  }

  /**
   * While a long payload is being gathered and no input is held: where its rest belongs, to be read straight to there, and
   * behind it room for the header that follows.
   */
  get wanted(): Buffer | null {
    return this.#place === EMPTY || this.#input.length > 0 ? null : this.#place.subarray(this.#done);
  }

  /** Looks at what is here of the next request, so that `wanted` tells where its payload belongs. Takes none. */
  prepare(): void {
    if (this.#pending === null) this.#begin();
    if (this.#place !== EMPTY) this.#gather();
  }

  /** So many bytes were put where `wanted` said. Answers true if the payload is whole with them. */
  wasGiven(count: number): boolean {
    const payloadBytes = this.#place.length - REQUEST_BYTES;
    const end = this.#done + count;
    this.#done = Math.min(end, payloadBytes);
    // A copy: the place goes to the back end, and then to others.
    if (end > payloadBytes) this.#input.push(Buffer.from(this.#place.subarray(payloadBytes, end)));
    return end >= payloadBytes;
  }

  /** The small WRITEs that are next and all here, up to `most`, as far as they lie in one chunk. Takes nothing. */
  upcomingWrites(most: number): readonly RequestHeader[] {
    const found: RequestHeader[] = [];
    const { chunk } = this.#input;
    let header = this.#place === EMPTY && this.#error === Errno.none ? this.#pending : null;
    if (header === null && this.#pending !== null) return found;
    for (let at = this.#input.position; found.length < most;) {
      if (header === null) {
        if (at + REQUEST_BYTES > chunk.length) break;
        header = readRequest(chunk, at);
        at += REQUEST_BYTES;
      }
      if (header?.command !== Command.write || header.length > WAITED_FOR_BYTES) break;
      at += header.length;
      if (at > chunk.length || checkRequest(header, this.#rules) !== Errno.none) break;
      found.push(header);
      header = null;
    }
    return found;
  }

  next(): ReadStep {
    if (this.#pending === null) this.#begin();
    if (this.#broken) return 'broken';
    return this.#pending === null ? 'more' : this.#finish(this.#pending);
  }

  /** Reads the next header, if it is here, and makes a place for its payload if that is long and not here. */
  #begin(): void {
    const input = this.#input;
    if (this.#broken || !input.has(REQUEST_BYTES)) return;
    const header = readRequest(input.chunk, input.position);
    if (header === null || (header.command === Command.write && header.length > MAX_SKIPPED_BYTES)) {
      this.#broken = true;
      return;
    }
    input.skip(REQUEST_BYTES);
    this.#pending = header;
    this.#error = checkRequest(header, this.#rules);
    this.#done = 0;
    const isGathered =
      header.command === Command.write && header.length > WAITED_FOR_BYTES && input.length < header.length;
    if (isGathered && this.#error === Errno.none)
      this.#place = this.#pool.take(header.length + REQUEST_BYTES);
  }

  #finish(header: RequestHeader): ReadStep {
    if (header.command !== Command.write) return this.#whole(header, EMPTY);
    if (this.#error !== Errno.none) {
      this.#done += this.#input.skip(header.length - this.#done);
      return this.#done < header.length ? 'more' : this.#whole(header, EMPTY);
    }
    if (this.#place === EMPTY) {
      const payload = this.#input.take(header.length);
      return payload === undefined ? 'more' : this.#whole(header, payload);
    }
    this.#gather();
    return this.#done < header.length ? 'more' : this.#whole(header, this.#place.subarray(0, header.length));
  }

  #gather(): void {
    const payload = this.#place.subarray(0, this.#place.length - REQUEST_BYTES);
    this.#done += this.#input.copyInto(payload, this.#done);
  }

  #whole(header: RequestHeader, payload: Buffer): Request {
    const isGathered = this.#place !== EMPTY;
    this.#pending = null;
    this.#place = EMPTY;
    return { header, error: this.#error, payload, isGathered };
  }
}
