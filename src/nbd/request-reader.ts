import type { ByteQueue } from './byte-queue.js';
import { Errno } from './errno.js';
import { MAX_SKIPPED_BYTES } from './limits.js';
import { checkRequest, type RequestRules } from './request.js';
import { Command, EMPTY, readRequest, REQUEST_BYTES, type RequestHeader } from './wire.js';

/** A request that is all here and was checked. */
export interface Request {
  readonly header: RequestHeader;
  /** Not `none`: refused; no work may be done for it. */
  readonly error: Errno;
  /** Of an accepted WRITE; may be a view of a received chunk, its reader's own until dropped. */
  readonly payload: Buffer;
}

/** `broken`: the stream has lost step and cannot be followed any more. */
export type ReadStep = Request | 'more' | 'broken';

/** Cuts the transmission phase's bytes into checked requests. Never copies a payload that lies in one chunk. */
export class RequestReader {
  readonly #input: ByteQueue;
  readonly #rules: RequestRules;
  #pending: RequestHeader | null = null;
  #error: Errno = Errno.none;
  #payload: Buffer = EMPTY;
  /** Bytes of the payload gathered, or skipped when the request is refused. */
  #done = 0;
  #broken = false;

  constructor(input: ByteQueue, rules: RequestRules) {
    this.#input = input;
    this.#rules = rules;
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
    if (error === Errno.none && input.chunk.byteLength - input.position >= header.length) {
      const payload = input.chunk.subarray(input.position, input.position + header.length);
      input.skip(header.length);
      return { header, error, payload };
    }
    this.#pending = header;
    this.#error = error;
    this.#done = 0;
    // Own memory, not the shared pool: it lives as long as the write.
    this.#payload = error === Errno.none ? Buffer.allocUnsafeSlow(header.length) : EMPTY;
    return this.#readPayload(header);
  }

  #readPayload(header: RequestHeader): ReadStep {
    this.#done +=
      this.#error === Errno.none
        ? this.#input.copyInto(this.#payload, this.#done)
        : this.#input.skip(header.length - this.#done);
    if (this.#done < header.length) return 'more';
    const request = { header, error: this.#error, payload: this.#payload };
    this.#pending = null;
    this.#payload = EMPTY;
    return request;
  }

  #break(): 'broken' {
    this.#broken = true;
    return 'broken';
  }
}
