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
  readonly #settled: () => void;
  #inFlight = 0;
  #bytesInFlight = 0;

  /** `settled` is called whenever a request that was under way has been answered. */
  constructor(session: Session, replies: ReplyBuffer, settled: () => void) {
    this.#session = session;
    this.#replies = replies;
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

  /** Begins a request, and ends it too where the back end answers at once. Not for DISC, which has no reply. */
  start({ header, error, payload }: Request): void {
    if (error !== Errno.none) {
      this.#refuse(header, error, REFUSALS[error] ?? 'refused');
      return;
    }
    try {
      if (header.command === Command.read) this.#read(header);
      else if (header.command === Command.blockStatus) this.#blockStatus(header);
      else this.#simple(header, this.#call(header, payload));
    } catch (failure) {
      this.#fail(header, failure);
    }
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

  #simple(header: RequestHeader, work: void | Promise<void>): void {
    if (work instanceof Promise) {
      this.#await(
        header,
        header.command === Command.write ? header.length : 0,
        work.then(() => {
          replyDone(this.#replies, header);
        }),
      );
    } else {
      replyDone(this.#replies, header);
    }
  }

  #read(header: RequestHeader): void {
    const structured = this.#session.structuredReplies;
    const headerBytes = readHeaderBytes(structured);
    const total = headerBytes + header.length;
    const inPlace = total <= MAX_IN_PLACE;
    const reply = inPlace ? this.#replies.reserve(total) : Buffer.allocUnsafeSlow(total);
    const work = this.#session.backend.read(header.offset, reply.subarray(headerBytes));
    if (!(work instanceof Promise) && inPlace) {
      writeReadHeader(reply, header, header.offset, structured);
      this.#replies.commit(total);
      return;
    }
    if (!(work instanceof Promise)) {
      this.#answerRead(header, reply);
      return;
    }
    if (inPlace) this.#replies.detach(total);
    this.#await(
      header,
      header.length,
      work.then(() => {
        this.#answerRead(header, reply);
      }),
    );
  }

  #answerRead(header: RequestHeader, reply: Buffer): void {
    const structured = this.#session.structuredReplies;
    const mayFragment = structured && (header.flags & CommandFlag.df) === 0;
    if (mayFragment && header.length >= MAX_IN_PLACE) {
      const data = reply.subarray(readHeaderBytes(structured));
      const stretches = zeroStretches(data);
      if (stretches.some(({ zero }) => zero)) {
        replyStretches(this.#replies, header, header.offset, data, stretches);
        return;
      }
    }
    writeReadHeader(reply, header, header.offset, structured);
    this.#replies.append(reply);
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
  #await(header: RequestHeader, bytes: number, work: Promise<void>): void {
    this.#inFlight++;
    this.#bytesInFlight += bytes;
    void work
      .catch((failure: unknown) => {
        this.#fail(header, failure);
      })
      .finally(() => {
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
