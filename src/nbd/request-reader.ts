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
}

/** `broken`: the stream has lost step and cannot be followed any more. */
export type ReadStep = Request | 'more' | 'broken';

/** Cuts the transmission phase's bytes into checked requests. Never copies a payload that lies in one chunk. */
export class RequestReader {
  readonly #input: ByteQueue;
  readonly #rules: RequestRules;
  readonly #pool: BufferPool;
  #pending: RequestHeader | null = null;
  #error: Errno = Errno.none;
  #payload: Buffer = EMPTY;
  /** Bytes of the payload gathered, or skipped when the request is refused. */
  #done = 0;
  #broken = false;

  constructor(input: ByteQueue, rules: RequestRules, pool: BufferPool) {
    this.#input = input;
    this.#rules = rules;
    this.#pool = pool;
  }

  /** While a payload is being gathered and no input is held: where its rest belongs, to be read straight to there. */
  get wanted(): Buffer | null {
    return this.#payload === EMPTY || this.#input.length > 0 ? null : this.#payload.subarray(this.#done);
  }

  /** So many bytes were put where `wanted` said. */
  wasGiven(count: number): void {
    this.#done += count;
  }

  /** The small WRITEs that are next and all here, up to `most`, as far as they lie in one chunk. Takes nothing. */
  upcomingWrites(most: number): readonly RequestHeader[] {
    const found: RequestHeader[] = [];
    const { chunk } = this.#input;
    let header = this.#payload === EMPTY && this.#error === Errno.none ? this.#pending : null;
    if (header === null && this.#pending !== null) return found;
    for (let at = this.#input.position; found.length < most;) {
      if (header === null) {
        if (at + REQUEST_BYTES > chunk.byteLength) break;
        header = readRequest(chunk, at);
        at += REQUEST_BYTES;
      }
      if (header?.command !== Command.write || header.length > WAITED_FOR_BYTES) break;
      at += header.length;
      if (at > chunk.byteLength || checkRequest(header, this.#rules) !== Errno.none) break;
      found.push(header);
      header = null;
    }
    return found;
  }

  next(): ReadStep {
    if (this.#broken) return 'broken';
    return this.#pending === null ? this.#readHeader() : this.#readPayload(this.#pending);
  }

  #readHeader(): ReadStep {
    const input = this.#input;
    if (!input.has(REQUEST_BYTES)) return 'more';
    const header = readRequest(input.chunk, input.position);
    if (header === null) return this.#break();
    input.skip(REQUEST_BYTES);
    const error = checkRequest(header, this.#rules);
    if (header.command !== Command.write || header.length === 0) return { header, error, payload: EMPTY };
    if (header.length > MAX_SKIPPED_BYTES) return this.#break();
    this.#pending = header;
    this.#error = error;
    this.#done = 0;
    const isLong = header.length > WAITED_FOR_BYTES && input.length < header.length;
    if (error === Errno.none && isLong) this.#payload = this.#pool.take(header.length);
    return this.#readPayload(header);
  }

  #readPayload(header: RequestHeader): ReadStep {
    if (this.#error === Errno.none && this.#payload === EMPTY) {
      const payload = this.#input.take(header.length);
      return payload === undefined ? 'more' : this.#whole(header, payload);
    }
    this.#done +=
      this.#error === Errno.none
        ? this.#input.copyInto(this.#payload, this.#done)
        : this.#input.skip(header.length - this.#done);
    return this.#done < header.length ? 'more' : this.#whole(header, this.#payload);
  }

  #whole(header: RequestHeader, payload: Buffer): Request {
    this.#pending = null;
    this.#payload = EMPTY;
    return { header, error: this.#error, payload };
  }

  #break(): 'broken' {
    this.#broken = true;
    return 'broken';
  }
}
