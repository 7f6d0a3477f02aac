import type { Millis } from '../units.js';
import type { KeepAlive } from './keep-alive.js';
import type { LineTimes } from './line-times.js';
import type { MessageSender } from './control-channel.js';
import type { RoundTrip } from './rtt.js';
import type { LinkTimers } from './timers.js';

/** An acknowledgement waits this long, ms, for a frame to ride on. */
const ACK_DELAY = 25;

/** A silent peer is sent a fragment so many times; then probes, which are shorter, until it is heard again. */
const ATTEMPTS = 2;

/** When fragments are sent again for want of an acknowledgement, and when the peer's are acknowledged. */
export class MessageSchedule {
  readonly #messages: MessageSender;
  readonly #times: LineTimes;
  readonly #timers: LinkTimers;
  readonly #roundTrip: RoundTrip;
  readonly #keepAlive: KeepAlive;
  #ackPending = false;
  #ackDue = false;
  #resends = 0;

  constructor(
    messages: MessageSender,
    times: LineTimes,
    timers: LinkTimers,
    roundTrip: RoundTrip,
    keepAlive: KeepAlive,
  ) {
    this.#messages = messages;
    this.#times = times;
    this.#timers = timers;
    this.#roundTrip = roundTrip;
    this.#keepAlive = keepAlive;
  }

  /** An acknowledgement waits for no other frame any more. */
  get isAckDue(): boolean {
    return this.#ackDue;
  }

  /** A fragment has come. */
  noteFragment(now: Millis): void {
    this.#ackPending = true;
    if (!this.#timers.isSet('ack')) this.#timers.set('ack', now + ACK_DELAY);
  }

  /** The timer of acknowledgements has expired. */
  makeAckDue(): void {
    this.#ackDue = true;
  }

  /** A frame is made: is there something to acknowledge, which is done by that. */
  takeAck(): boolean {
    const pending = this.#ackPending;
    if (pending) this.#timers.clear('ack');
    this.#ackPending = false;
    if (pending) this.#ackDue = false;
    return pending;
  }

  /** The peer is heard: if it was away, it is not to wait for the timer. */
  noteHeard(): void {
    if (this.#resends < ATTEMPTS || this.#messages.isIdle) return;
    this.#resends = 0;
    this.#messages.repeatOldest();
  }

  /** An acknowledgement has come; `news`: with something new in it. */
  noteAck(now: Millis, news: boolean): void {
    if (news) this.#resends = 0;
    if (this.#messages.isWaiting) this.noteSent(now);
    else this.#timers.clear('resend');
  }

  /** A fragment goes out. */
  noteSent(now: Millis): void {
    const { ownFrameTime, peerFrameTime, lead } = this.#times;
    const answer = this.#roundTrip.limit + ACK_DELAY + lead + ownFrameTime + peerFrameTime;
    const backOff = Math.min(answer * 2 ** this.#resends, Math.max(answer, this.#times.probeInterval));
    this.#timers.set('resend', now + backOff);
  }

  /** The acknowledgement is late. */
  handleUnacknowledged(now: Millis): void {
    if (!this.#messages.isWaiting) return;
    this.#resends++;
    if (this.#resends > ATTEMPTS) {
      // The probe repeats itself; the fragment follows when the peer is heard.
      this.#keepAlive.probe(now);
      return;
    }
    this.#messages.repeatOldest();
    this.noteSent(now);
  }
}
