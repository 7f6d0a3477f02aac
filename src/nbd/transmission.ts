import type { BufferPool } from './buffer-pool.js';
import { Errno, errnoOf } from './errno.js';
import type { Session } from './handshake.js';
import { MAX_EXTENTS } from './limits.js';
import { tidyExtents, type StatusExtent } from './meta-context.js';
import { MAX_IN_PLACE, type ReplyBuffer } from './reply-buffer.js';
import {
  readHeaderBytes,
  replyBlockStatus,
  replyDone,
  replyError,
  replyStretches,
  writeReadHeader,
  zeroStretches,
} from './reply.js';
import type { Request } from './request-reader.js';
import { Command, CommandFlag, type RequestHeader } from './wire.js';

/** What a refused request is told in words, for clients that show them. */
const REFUSALS: Readonly<Partial<Record<Errno, string>>> = {
  [Errno.EPERM]: 'export is read-only',
  [Errno.EINVAL]: 'invalid request',
  [Errno.ENOSPC]: 'past the end of the export',
  [Errno.EOVERFLOW]: 'too long for one chunk',
};

/**
 * The transmission phase of one connection: carries checked requests out on the back end and puts the replies into
 * `replies`. What the back end answers at once takes a path without promises. Knows no sockets.
 */
export class Transmission {
  readonly #session: Session;
  readonly #replies: ReplyBuffer;
  readonly #pool: BufferPool;
  readonly #settled: () => void;
  #inFlight = 0;
  #bytesInFlight = 0;

  /**
   * Long payloads and replies may be of `pool`, where they go back. `settled` is called whenever a request that was
   * under way has been answered.
   */
  constructor(session: Session, replies: ReplyBuffer, pool: BufferPool, settled: () => void) {
    this.#session = session;
    this.#replies = replies;
    this.#pool = pool;
    this.#settled = settled;
  }

  /** Requests whose back end call is not over. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Bytes those requests read or write. */
  get bytesInFlight(): number {
    return this.#bytesInFlight;
  }

  /**
   * Begins a request, and ends it too where the back end answers at once. Not for DISC, which has no reply. Answers
   * true if the payload is still in use afterwards.
   */
  start({ header, error, payload }: Request): boolean {
    if (error !== Errno.none) {
      this.#refuse(header, error, REFUSALS[error] ?? 'refused');
      return false;
    }
    try {
      if (header.command === Command.read) this.#read(header);
      else if (header.command === Command.blockStatus) this.#blockStatus(header);
      else return this.#simple(header, payload, this.#call(header, payload));
    } catch (failure) {
      this.#fail(header, failure);
    }
    return false;
  }

  #call(header: RequestHeader, payload: Buffer): void | Promise<void> {
    const { backend } = this.#session;
    const { command, flags, offset, length } = header;
    const fua = (flags & CommandFlag.fua) !== 0;
    switch (command) {
      case Command.write:
        return backend.write(offset, payload, fua);
      case Command.flush:
        return backend.flush();
      case Command.trim:
        return backend.trim(offset, length, fua);
      case Command.writeZeroes:
        return backend.writeZeroes(offset, length, { noHole: (flags & CommandFlag.noHole) !== 0, fua });
      case Command.cache:
        return backend.cache(offset, length);
      default:
        throw new Error(`command ${command} passed the checks but is not known`);
    }
  }

  #simple(header: RequestHeader, payload: Buffer, work: void | Promise<void>): boolean {
    if (!(work instanceof Promise)) {
      this.#pool.give(payload);
      replyDone(this.#replies, header);
      return false;
    }
    const give = (): void => {
      this.#pool.give(payload);
    };
    this.#await(
      header,
      payload.length,
      work.then(() => {
        replyDone(this.#replies, header);
      }),
      give,
    );
    return payload.length > 0;
  }

  #read(header: RequestHeader): void {
    const structured = this.#session.structuredReplies;
    const headerBytes = readHeaderBytes(structured);
    const total = headerBytes + header.length;
    const inPlace = total <= MAX_IN_PLACE;
    const reply = inPlace ? this.#replies.reserve(total) : this.#pool.take(total);
    const work = this.#session.backend.read(header.offset, reply.subarray(headerBytes));
    if (!(work instanceof Promise) && inPlace) {
      writeReadHeader(reply, header, header.offset, structured);
      this.#replies.commit(total);
      return;
    }
    if (!(work instanceof Promise)) {
      if (!this.#answerRead(header, reply)) this.#replies.sent([reply]);
      return;
    }
    if (inPlace) this.#replies.detach(total);
    let isAnswered = false;
    this.#await(
      header,
      header.length,
      work.then(() => {
        isAnswered = this.#answerRead(header, reply);
      }),
      () => {
        if (!isAnswered) this.#replies.sent([reply]);
      },
    );
  }

  /** Answers false if `reply` itself is not sent. */
  #answerRead(header: RequestHeader, reply: Buffer): boolean {
    const structured = this.#session.structuredReplies;
    const mayFragment = structured && (header.flags & CommandFlag.df) === 0;
    if (mayFragment && header.length >= MAX_IN_PLACE) {
      const data = reply.subarray(readHeaderBytes(structured));
      const stretches = zeroStretches(data);
      if (stretches.some(({ zero }) => zero)) {
        replyStretches(this.#replies, header, header.offset, data, stretches);
        return stretches.some(({ zero }) => !zero);
      }
    }
    writeReadHeader(reply, header, header.offset, structured);
    this.#replies.append(reply);
    return true;
  }

  #blockStatus(header: RequestHeader): void {
    const { backend, contexts } = this.#session;
    const range = { start: header.offset, end: header.offset + header.length };
    const limit = (header.flags & CommandFlag.reqOne) !== 0 ? 1 : MAX_EXTENTS;
    const reply = (found: readonly StatusExtent[][]): void => {
      replyBlockStatus(
        this.#replies,
        header,
        found.map((extents, id) => tidyExtents(extents, range, limit, contexts[id]?.unknown ?? 0)),
      );
    };
    const [only, ...more] = contexts;
    const answer = more.length === 0 ? only?.extents(backend, range, limit) : undefined;
    if (Array.isArray(answer)) {
      reply([answer]);
    } else {
      const answers = contexts.map(async (context) =>
        context === only && answer !== undefined ? answer : context.extents(backend, range, limit),
      );
      this.#await(header, 0, Promise.all(answers).then(reply));
    }
  }

  /** `work` ends with its reply in place; what fails before that is answered here. */
  #await(
    header: RequestHeader,
    bytes: number,
    work: Promise<void>,
    ended: () => void = () => undefined,
  ): void {
    this.#inFlight++;
    this.#bytesInFlight += bytes;
    void work
      .catch((failure: unknown) => {
        this.#fail(header, failure);
      })
      .finally(() => {
        ended();
        this.#inFlight--;
        this.#bytesInFlight -= bytes;
        this.#settled();
      });
  }

  #fail(header: RequestHeader, failure: unknown): void {
    this.#refuse(header, errnoOf(failure), failure instanceof Error ? failure.message : 'failed');
  }

  #refuse(header: RequestHeader, error: Errno, text: string): void {
    replyError(this.#replies, header, error, text, this.#session.structuredReplies);
  }
}
