import { ProtocolError } from '../errors.js';
import { encodeFrame } from '../framing/frame.js';
import { Opener, SEALED_BIT } from '../handshake/sealer.js';
import type { Range } from '../ranges.js';
import type { Millis, ParcelId } from '../units.js';
import type { Confirmed } from './answering.js';
import type { CloseReason } from './close-reason.js';
import { Conversation } from './conversation.js';
import { noCounts, type Counters, type LinkStats } from './counters.js';
import { damagedSegment, damagedTail } from './damaged-frame.js';
import { FrameIntake } from './frame-intake.js';
import { CALL_TYPE } from './handshake-frame.js';
import { Handshakes } from './handshakes.js';
import { LineTimes } from './line-times.js';
import type { LinkEvent } from './link-event.js';
import type { LinkOptions } from './link-options.js';
import { RoundTrip } from './rtt.js';
import { ScrapBook } from './scraps.js';
import { Timers, type LinkTimer, type LinkTimers } from './timers.js';

/**
 * One session with one peer over one line, as a pure machine: it owns no socket and no clock. Whoever owns the line
 * calls `handleFrame` for every frame cut from it and `handleTimeout` when `pollTimeout` has come; and after *any*
 * call (a command such as `sendMessage` or `kept` too) drains `pollEvent`, pulls `pollTransmit` as long as the line
 * has room for another frame, and arms its one timer to `pollTimeout`. A line that has room again is polled again.
 *
 * A link lives for one session. After `closed`, or when the line is gone, make a new one.
 */
export class Link {
  readonly #options: LinkOptions;
  readonly #times: LineTimes;
  readonly #timers: LinkTimers = new Timers<LinkTimer>();
  readonly #roundTrip = new RoundTrip();
  readonly #counters: Counters = noCounts();
  readonly #events: LinkEvent[] = [];
  readonly #conversation: Conversation;
  readonly #intake: FrameIntake;
  readonly #handshakes: Handshakes;
  #state: 'handshaking' | 'established' | 'closed' = 'handshaking';
  #opener: Opener | undefined;
  #farewell: CloseReason | undefined;

  /** Throws `RangeError` for an initiator without `peerKey`, and for a hello over `MAX_HELLO`. */
  constructor(options: LinkOptions) {
    this.#options = options;
    this.#times = new LineTimes(options.bytesPerSecond);
    this.#conversation = new Conversation({
      times: this.#times,
      timers: this.#timers,
      roundTrip: this.#roundTrip,
      counters: this.#counters,
      initiator: options.initiator,
      deadAfter: options.deadAfter,
      crc32: options.crc32,
      emit: (event) => this.#events.push(event),
    });
    this.#intake = new FrameIntake(options.crc32, !this.#times.isFast, {
      handleBody: (now, body, length) => this.#handleWhole(now, body, length),
      confirm: (now, body) => this.#confirm(now, body),
      noteRepaired: (bits) => {
        this.#counters.framesRepaired++;
        this.#conversation.incoming.noteRepaired(bits);
      },
      handleDamaged: (now, frame) => this.#handleDamaged(now, frame),
    });
    this.#handshakes = new Handshakes(options, this.#times, this.#timers, this.#roundTrip);
  }

  /** A frame cut from the line, without its delimiter. Damaged and foreign ones are counted and ignored. */
  handleFrame(now: Millis, bytes: Uint8Array): void {
    this.#begin(now);
    if (this.#state === 'closed') return;
    this.#counters.framesReceived++;
    this.#counters.bytesReceived += bytes.length + 1;
    this.#intake.handle(now, bytes);
  }

  #handleWhole(now: Millis, body: Uint8Array, length: number): void {
    if (!isSealed(body)) this.#counters.handshakeReceived += length;
    try {
      this.#handleBody(now, body);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      if (body[0] === CALL_TYPE && error.code !== 'paused') this.#noteStranger(now);
      this.#handleBadFrame(error);
    }
  }

  /** Bytes of a frame have come that has not ended. On a line of known rate, for each few of them. */
  handleArriving(now: Millis): void {
    if (this.#state === 'established') this.#conversation.noteArriving(now);
  }

  /**
   * What has come of a frame that will not end any more, because the line is gone or left: the next session with this peer
   * may use it. Also after `closed`.
   */
  handleTail(bytes: Uint8Array): void {
    if (this.#times.isFast || this.#opener === undefined) return;
    const damaged = damagedTail(bytes, this.#opener);
    if (damaged !== undefined) this.#conversation.keepDamaged(damaged);
  }

  /** To be called when the time of `pollTimeout` has come; calling it early or late does no harm. */
  handleTimeout(now: Millis): void {
    this.#begin(now);
    for (
      let timer = this.#timers.takeExpired(now);
      timer !== undefined;
      timer = this.#timers.takeExpired(now)
    ) {
      if (timer === 'call') this.#handshakes.callAgain();
      else if (timer === 'give-up') this.#end({ kind: 'closed', reason: 'no-answer' });
      else if (timer === 'dead' || timer === 'deaf') this.#end({ kind: 'closed', reason: 'peer-silent' });
      else this.#conversation.handleTimer(now, timer);
    }
  }

  /**
   * The next frame for the line, with its delimiter, owned by the caller; `undefined` when nothing is to be sent now.
   * Frames are made at this moment, so pull only when the line has room.
   */
  pollTransmit(now: Millis): Uint8Array | undefined {
    this.#begin(now);
    const body = this.#nextBody(now);
    if (body === undefined) return undefined;
    // A handshake and a question may be the first after noise, or after a frame that an outage has cut off.
    const apart = !isSealed(body) || this.#conversation.isAsking;
    const frame = encodeFrame(body, this.#options.crc32, apart && !this.#times.isFast);
    this.#counters.framesSent++;
    this.#counters.bytesSent += frame.length;
    if (!isSealed(body)) this.#counters.handshakeSent += frame.length;
    return frame;
  }

  /**
   * True once when the rest of the last frame pulled is not worth its time on the line any more: nothing is heard of the
   * peer. What of it has not left yet may be dropped, if a delimiter follows what has. To be asked before
   * `pollTransmit`; whoever has nothing to drop need not ask.
   */
  takeAbandon(): boolean {
    return this.#state === 'established' && this.#conversation.takeAbandon();
  }

  /** When `handleTimeout` wants to be called; `undefined`: not before something else happens. */
  pollTimeout(): Millis | undefined {
    return this.#timers.next();
  }

  pollEvent(): LinkEvent | undefined {
    return this.#events.shift();
  }

  get state(): 'handshaking' | 'established' | 'closed' {
    return this.#state;
  }

  get stats(): LinkStats {
    return {
      ...this.#counters,
      payloadReceived: this.#conversation.incoming.deliveredBytes,
      payloadDuplicate: this.#conversation.incoming.duplicateBytes,
      roundTrip: this.#roundTrip.smoothed,
    };
  }

  /** When the last valid sealed frame came (the end of the handshake before the first); `undefined` before a session. */
  get lastHeardAt(): Millis | undefined {
    return this.#conversation.keepAlive.lastHeardAt;
  }

  /** Every message is acknowledged, and every parcel held, refused or withdrawn. */
  get isIdle(): boolean {
    return this.#conversation.messages.isIdle && this.#conversation.outgoing.isIdle;
  }

  /** There is something to carry: messages or parcels of ours, or parcels that are expected. */
  get isBusy(): boolean {
    return !this.isIdle || this.#conversation.incoming.isExpecting;
  }

  /**
   * Queues a message for ordered, exactly-once delivery, ahead of parcels; may be called before `established`. The
   * bytes are copied. Throws `ProtocolError` `limit-exceeded` for one over `MAX_MESSAGE` or a queue over
   * `MAX_MESSAGE_QUEUE` bytes.
   */
  sendMessage(bytes: Uint8Array): void {
    this.#conversation.messages.enqueue(bytes);
  }

  /**
   * Queues a parcel behind those queued before; only what is not in `held` (byte ranges) is sent. The link reads `bytes`
   * until `parcel-held`, `parcel-refused` or `withdrawParcel`; they must not change. Throws `limit-exceeded` for more than
   * `MAX_PARCELS` at once, `RangeError` for one that is queued already.
   */
  sendParcel(id: ParcelId, bytes: Uint8Array, held: readonly Range[]): void {
    this.#conversation.outgoing.queue(id, bytes, held);
  }

  /**
   * Sender: no further byte of it is sent and no event comes for it; unknown ids are ignored. Returns what the peer has
   * reported of it, for `sendParcel` later in this session.
   */
  withdrawParcel(id: ParcelId): readonly Range[] {
    const held = this.#conversation.outgoing.withdraw(id);
    this.#conversation.noteWithdrawn();
    return held;
  }

  /**
   * Receiver: this parcel of `length` bytes is wanted, `held` is stored already. Segments that came too early are
   * delivered now. Expecting it again replaces what is held.
   */
  expectParcel(id: ParcelId, length: number, held: readonly Range[]): void {
    this.#conversation.incoming.expect(id, length, held);
    this.#conversation.noteExpected();
  }

  /** Receiver: the bytes `start … end-1` of an expected parcel are stored; from now on they may be reported as held. */
  kept(id: ParcelId, start: number, end: number): void {
    this.#conversation.incoming.kept(id, start, end);
    this.#conversation.noteKept();
  }

  /** Receiver: tells the peer to stop sending this parcel. */
  refuseParcel(id: ParcelId): void {
    this.#conversation.incoming.refuse(id);
    this.#conversation.reportSoon();
  }

  /**
   * Receiver: no further segment of it is delivered. Of a parcel that was kept whole the link goes on to report that,
   * for as long as the sender may not have heard it; another one is offered again when a segment comes.
   */
  forgetParcel(id: ParcelId): void {
    this.#conversation.incoming.forget(id);
    this.#conversation.noteKept();
  }

  /**
   * Something is awaited that the peer will say by itself, such as that a set is applied; or no longer. Meanwhile a silent
   * peer is probed after seconds instead of a minute and more.
   */
  attend(attentive: boolean): void {
    this.#conversation.keepAlive.attend(attentive);
  }

  /** Ends the session: `closed` is raised, one CLOSE frame can be pulled. What was not acknowledged is lost. */
  close(why: CloseReason): void {
    if (this.#state === 'established') this.#farewell = why;
    this.#end({ kind: 'closed', reason: 'closed-here', why });
  }

  #begin(now: Millis): void {
    if (this.#state === 'handshaking') this.#handshakes.begin(now);
  }

  #nextBody(now: Millis): Uint8Array | undefined {
    if (this.#farewell !== undefined) {
      const why = this.#farewell;
      this.#farewell = undefined;
      return this.#conversation.transmitClose(why);
    }
    if (this.#state === 'closed') return undefined;
    const inSession = this.#state === 'established';
    const greeting = this.#handshakes.transmit(now, inSession);
    return greeting ?? (inSession ? this.#conversation.transmit(now) : undefined);
  }

  #handleBody(now: Millis, body: Uint8Array): void {
    if (((body[0] ?? 0) & SEALED_BIT) === 0) this.#handleHandshake(now, body);
    else this.#handleSealed(now, body);
  }

  /** A guess at a damaged frame counts if its seal opens, or if the handshake in it fits. */
  #confirm(now: Millis, body: Uint8Array): boolean {
    try {
      this.#handleBody(now, body);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      if (isUnconfirmed(error)) return false;
      this.#handleBadFrame(error);
    }
    return true;
  }

  /** What stands before the damage may be of use, if something sealed says so later. */
  #handleDamaged(now: Millis, frame: Uint8Array): void {
    this.#counters.framesDamaged++;
    if (this.#times.isFast || this.#opener === undefined || this.#state !== 'established') return;
    const damaged = damagedSegment(frame, this.#opener);
    if (damaged !== undefined) this.#conversation.handleDamaged(now, damaged);
  }

  #noteStranger(now: Millis): void {
    const pause = this.#state === 'established' ? undefined : this.#handshakes.pause(now);
    if (pause !== undefined) this.#events.push({ kind: 'stranger', pause });
  }

  #handleHandshake(now: Millis, body: Uint8Array): void {
    const answered = this.#handshakes.handle(now, body, this.#state === 'established');
    if (answered === undefined) return;
    this.#opener = new Opener(answered.keys.receive);
    this.#establish(now, answered.keys.send, answered.peerKey, answered.hello);
  }

  #handleSealed(now: Millis, body: Uint8Array): void {
    const opener = this.#opener;
    if (opener === undefined) {
      const confirmed = this.#handshakes.confirm(body);
      if (confirmed === undefined) throw new ProtocolError('bad-seal', 'seal: no session opens it');
      this.#adopt(now, confirmed);
      return;
    }
    let opened: { readonly number: number; readonly plaintext: Uint8Array };
    try {
      opened = opener.open(body);
    } catch (error) {
      const confirmed = this.#handshakes.confirm(body);
      if (confirmed === undefined) throw error;
      this.#replace(now, confirmed);
      return;
    }
    this.#handleContent(now, opened.number, opened.plaintext);
  }

  #handleContent(now: Millis, frame: number, content: Uint8Array): void {
    const why = this.#conversation.handleContent(now, frame, content);
    if (why !== undefined) this.#end({ kind: 'closed', reason: 'closed-by-peer', why });
  }

  /** This link becomes the session of a call that was answered. */
  #adopt(now: Millis, confirmed: Confirmed): void {
    this.#opener = confirmed.opener;
    this.#handshakes.settle(confirmed.call);
    this.#establish(now, confirmed.keys.send, confirmed.peerKey, confirmed.hello);
    this.#handleContent(now, confirmed.frame, confirmed.content);
  }

  #replace(now: Millis, confirmed: Confirmed): void {
    const successor = new Link({ ...this.#options, initiator: false });
    try {
      successor.#adopt(now, confirmed);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      successor.#handleBadFrame(error);
    }
    this.#end({ kind: 'replaced', successor });
  }

  #establish(now: Millis, sendKey: Uint8Array, peerKey: Uint8Array, hello: Uint8Array): void {
    this.#state = 'established';
    this.#timers.clear('call');
    this.#timers.clear('give-up');
    this.#events.push({ kind: 'established', peerKey, hello });
    this.#conversation.start(now, sendKey, (this.#options.scraps ?? new ScrapBook()).of(peerKey));
  }

  #end(event: LinkEvent): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#timers.clearAll();
    this.#events.push(event);
  }

  /** Only what was sealed by the peer itself can end the session; anybody can send the rest. */
  #handleBadFrame(error: ProtocolError): void {
    switch (error.code) {
      case 'bad-seal':
        this.#counters.framesRejected++;
        break;
      case 'bad-handshake':
      case 'unknown-peer':
      case 'paused':
        this.#counters.handshakesRefused++;
        break;
      default:
        this.#farewell = 'failed';
        this.#end({ kind: 'closed', reason: 'protocol-violation', detail: error.message });
    }
  }
}

/** Nothing has shown that the peer made this: a seal that does not open, a handshake that does not fit. */
const isUnconfirmed = ({ code }: ProtocolError): boolean =>
  code === 'bad-seal' || code === 'bad-handshake' || code === 'unknown-peer' || code === 'paused';

const isSealed = (body: Uint8Array): boolean => ((body[0] ?? 0) & SEALED_BIT) !== 0;
