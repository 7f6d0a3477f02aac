import type { Socket } from 'node:net';
import type { Clock } from '../platform/clock.js';
import type { ExportBackend } from './backend.js';
import type { BufferPool } from './buffer-pool.js';
import { Handshake, type Session } from './handshake.js';
import { Intake } from './intake.js';
import type { NbdLimits } from './limits.js';
import { ReplyBuffer } from './reply-buffer.js';
import { RequestReader, type Request } from './request-reader.js';
import { Transmission } from './transmission.js';
import { Command } from './wire.js';

/** How long the last replies of an ending connection may take to leave before it is cut. */
const LINGER_MILLIS = 1000;
/** Replies are handed to the socket in portions of about this size while more requests are being answered. */
const FLUSH_BYTES = 256 << 10;
/** Flushed replies after which a client that is gone has shown it (TCP answers the first with a reset). */
const PROOFS_OF_LIFE = 2;
/** Writes that are told to the back end together. */
const ANNOUNCED = 32;
/** After writes for which that was of no use, as many are carried out before any are told again. */
const UNANNOUNCED = 128;

/**
 * `waiting`: accepted, nothing read yet. `ending`: no more requests are taken; those under way are finished and
 * answered. `closed`: the socket is gone; requests under way are still finished.
 */
type Phase = 'waiting' | 'handshake' | 'transmission' | 'ending' | 'closed';

export interface ConnectionOptions {
  /** Paused, half-open allowed; owned by the connection. */
  readonly socket: Socket;
  readonly exports: () => readonly ExportBackend[];
  readonly snapshots: () => readonly ExportBackend[];
  readonly clock: Clock;
  readonly limits: NbdLimits;
  /** Shared with the server's other connections. */
  readonly pool: BufferPool;
}

/**
 * One client: moves bytes between its socket and the pure parts, and keeps it from growing our memory. Reading stops
 * while too much is under way or too many replies are not taken.
 */
export class Connection {
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #limits: NbdLimits;
  readonly #intake: Intake;
  readonly #pool: BufferPool;
  readonly #replies: ReplyBuffer;
  readonly #handshake: Handshake;
  readonly #turnWaiters: (() => void)[] = [];
  #phase: Phase = 'waiting';
  #session: Session | null = null;
  #reader: RequestReader | null = null;
  #transmission: Transmission | null = null;
  #turnScheduled = false;
  /** Requests to be carried out before writes are announced again: those that were, and some after idle telling. */
  #unannounced = 0;
  #cancelTimer: (() => void) | null = null;
  #detach: (() => void) | null = null;
  /** Resolves when the socket is closed and nothing is under way any more. */
  readonly finished: Promise<void>;
  #finish: () => void = () => undefined;

  constructor({ socket, exports, snapshots, clock, limits, pool }: ConnectionOptions) {
    this.#socket = socket;
    this.#clock = clock;
    this.#limits = limits;
    this.#pool = pool;
    this.#replies = new ReplyBuffer(pool);
    this.#handshake = new Handshake(exports, snapshots);
    this.finished = new Promise((resolve) => (this.#finish = resolve));
    this.#intake = new Intake(socket, () => {
      this.#advance();
    });
    socket.on('end', () => this.#end());
    // What failed does not matter: `close` always follows.
    socket.on('error', () => undefined);
    socket.on('close', () => this.#closed());
  }

  /** The export this client uses; null before the transmission phase. */
  get backend(): ExportBackend | null {
    return this.#session?.backend ?? null;
  }

  /** Greets the client and starts to listen to it. */
  begin(): void {
    if (this.#phase !== 'waiting') return;
    this.#phase = 'handshake';
    this.#cancelTimer = this.#clock.after(this.#limits.handshakeMillis, () => this.#socket.destroy());
    this.#socket.write(this.#handshake.greeting());
    this.#socket.resume();
  }

  /** Ends the connection: what is under way is finished and answered. Resolves as `finished`. */
  close(): Promise<void> {
    if (this.#phase === 'waiting' || this.#phase === 'handshake') this.#socket.destroy();
    else this.#end();
    return this.finished;
  }

  /**
   * Resolves when, should this client have been gone before the call, nothing it sent will be carried out any more.
   * A client that lives holds this up for a reply or two at the most.
   */
  async provedAlive(): Promise<void> {
    for (let proofs = 0; ; proofs++) {
      const underWay = (this.#transmission?.inFlight ?? 0) > 0;
      if (!underWay) return;
      const over = this.#phase === 'ending' || this.#phase === 'closed';
      // While reading, the end of a client that is gone has been seen before this was called.
      const heldBack = this.#phase === 'transmission' && this.#socket.isPaused();
      if (!over && (!heldBack || proofs >= PROOFS_OF_LIFE)) return;
      await new Promise<void>((resolve) => this.#turnWaiters.push(resolve));
    }
  }

  #advance(): void {
    if (this.#phase === 'handshake') this.#haggle();
    if (this.#phase === 'transmission') this.#serve();
    else this.#flush();
  }

  #haggle(): void {
    while (this.#phase === 'handshake') {
      const step = this.#handshake.next(this.#intake.queue);
      if (step.kind === 'more') return;
      this.#replies.append(step.bytes);
      if (step.kind === 'end') this.#end();
      else if (step.kind === 'serve') this.#enterTransmission(step.session);
    }
  }

  #enterTransmission(session: Session): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    const { sizeBytes, readOnly } = session.backend.geometry;
    this.#session = session;
    this.#detach = session.backend.attach?.() ?? null;
    this.#transmission = new Transmission(session, this.#replies, this.#pool, () => this.#scheduleTurn());
    const rules = {
      sizeBytes,
      readOnly,
      structuredReplies: session.structuredReplies,
      metaContexts: session.contexts.length > 0,
    };
    this.#reader = new RequestReader(this.#intake.queue, rules, this.#pool);
    this.#intake.follow(this.#reader);
    this.#phase = 'transmission';
  }

  #serve(): void {
    const reader = this.#reader;
    const transmission = this.#transmission;
    if (reader === null || transmission === null) return;
    for (;;) {
      if (this.#replies.length >= FLUSH_BYTES) this.#flush();
      if (!this.#admits(transmission)) {
        this.#flush();
        this.#socket.pause();
        return;
      }
      this.#announce(reader);
      const step = reader.next();
      if (step === 'more') break;
      if (step === 'broken') {
        this.#flush();
        this.#socket.destroy();
        return;
      }
      if (step.header.command === Command.disconnect) {
        this.#end();
        return;
      }
      if (step.isGathered) this.#receiveAhead(transmission, step);
      if (transmission.start(step)) this.#intake.keep(step.payload);
    }
    this.#flush();
    if (this.#socket.isPaused()) this.#socket.resume();
  }

  /** Tells the back end which writes have come in together. */
  #announce(reader: RequestReader): void {
    const backend = this.#session?.backend;
    if (backend?.announce === undefined) return;
    if (this.#unannounced-- > 0) return;
    const writes = reader.upcomingWrites(ANNOUNCED);
    const isOfUse = writes.length < 2 || backend.announce(writes);
    this.#unannounced = Math.max(0, writes.length - 1) + (isOfUse ? 0 : UNANNOUNCED);
  }

  /** Before a long write keeps the thread, its client is given what it waits for: its replies, and room. */
  #receiveAhead(transmission: Transmission, { payload }: Request): void {
    this.#flush();
    if (this.#admits(transmission, payload.length)) this.#intake.receiveAhead();
  }

  /** May a request be begun, with so many bytes more under way than there are. */
  #admits(transmission: Transmission, more = 0): boolean {
    return (
      transmission.inFlight < this.#limits.requestsInFlight &&
      transmission.bytesInFlight + more < this.#limits.bytesInFlight &&
      this.#replies.length + this.#socket.writableLength < this.#limits.unsentBytes
    );
  }

  /** Hands all waiting replies to the socket as one write. */
  #flush(): void {
    const pieces = this.#replies.take();
    const last = pieces.pop();
    if (last === undefined || !this.#socket.writable) return;
    if (pieces.length > 0) this.#socket.cork();
    for (const piece of pieces) this.#socket.write(piece);
    this.#socket.write(last, (error) => {
      if (!error) this.#replies.sent([...pieces, last]);
      if (!error && this.#phase === 'transmission' && this.#socket.isPaused()) this.#advance();
    });
    if (pieces.length > 0) this.#socket.uncork();
  }

  /** After a back end's answers: one flush for all that came in this turn of the event loop. */
  #scheduleTurn(): void {
    if (this.#turnScheduled) return;
    this.#turnScheduled = true;
    setImmediate(() => {
      this.#turnScheduled = false;
      this.#advance();
      if (this.#phase === 'ending') this.#endWhenIdle();
      if (this.#phase === 'closed') this.#finishWhenIdle();
      this.#wakeTurnWaiters();
    });
  }

  /** A turn later, so that a failed write has become known. */
  #wakeTurnWaiters(): void {
    const waiters = this.#turnWaiters.splice(0);
    if (waiters.length > 0) {
      setImmediate(() => {
        for (const wake of waiters) wake();
      });
    }
  }

  #end(): void {
    if (this.#phase === 'ending' || this.#phase === 'closed') return;
    this.#phase = 'ending';
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    this.#socket.pause();
    this.#intake.queue.clear();
    this.#endWhenIdle();
  }

  #endWhenIdle(): void {
    this.#flush();
    if ((this.#transmission?.inFlight ?? 0) > 0 || this.#cancelTimer !== null) return;
    this.#cancelTimer = this.#clock.after(LINGER_MILLIS, () => this.#socket.destroy());
    this.#socket.destroySoon();
  }

  #closed(): void {
    this.#phase = 'closed';
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    this.#intake.queue.clear();
    this.#replies.take();
    this.#finishWhenIdle();
  }

  #finishWhenIdle(): void {
    if ((this.#transmission?.inFlight ?? 0) > 0) return;
    this.#detach?.();
    this.#detach = null;
    this.#wakeTurnWaiters();
    this.#finish();
  }
}
