import { ProtocolError } from '../errors.js';
import type { SessionKeys } from '../handshake/noise-ik.js';
import type { Millis } from '../units.js';
import { Answering, type Confirmed } from './answering.js';
import { Calling } from './calling.js';
import { ANSWER_TYPE } from './handshake-frame.js';
import { MAX_HELLO } from './limits.js';
import type { LineTimes } from './line-times.js';
import type { LinkOptions } from './link-options.js';
import type { RoundTrip } from './rtt.js';
import type { LinkTimers } from './timers.js';

/** How long an initiator calls without an answer, ms; and the line's time of twenty calls. */
const CALL_FOR = 30_000;
/** Bytes of a call on the line, about. */
const CALL_BYTES = 300;

/** The call of this side was answered. */
export interface Answered {
  readonly keys: SessionKeys;
  readonly peerKey: Uint8Array;
  readonly hello: Uint8Array;
}

/** Both ways into a session: the call that this side makes, if it does, and its answers to those that come. */
export class Handshakes {
  readonly #options: LinkOptions;
  readonly #times: LineTimes;
  readonly #timers: LinkTimers;
  readonly #calling: Calling | undefined;
  readonly #answering: Answering | undefined;
  #isBegun = false;

  /** Throws `RangeError` for an initiator without `peerKey`, and for a hello over `MAX_HELLO`. */
  constructor(options: LinkOptions, times: LineTimes, timers: LinkTimers, roundTrip: RoundTrip) {
    this.#options = options;
    this.#times = times;
    this.#timers = timers;
    if ((options.hello?.length ?? 0) > MAX_HELLO) throw new RangeError('hello too long');
    if (options.initiator) {
      if (options.peerKey === undefined) throw new RangeError('an initiator needs the key of its peer');
      this.#calling = new Calling(options, options.peerKey, times, timers, roundTrip);
    }
    this.#answering = Answering.from(options);
  }

  /** Time is known only with the first call that brings it: patience counts from then on. */
  begin(now: Millis): void {
    if (this.#isBegun) return;
    this.#isBegun = true;
    const { handshakeTimeout, initiator } = this.#options;
    const patience =
      handshakeTimeout ?? (initiator ? CALL_FOR + 20 * this.#times.timeOf(CALL_BYTES) : undefined);
    if (patience !== undefined) this.#timers.set('give-up', now + patience);
  }

  /** The timer has expired. */
  callAgain(): void {
    this.#calling?.makeDue();
  }

  /** The body of the next frame: an answer, or as long as there is no session a call. */
  transmit(now: Millis, inSession: boolean): Uint8Array | undefined {
    const answer = this.#answering?.transmit();
    return answer ?? (inSession ? undefined : this.#calling?.transmit(now));
  }

  /**
   * A handshake frame; what an answer to the call of this side brings. Throws `bad-handshake` or `unknown-peer`, and then
   * nothing is sent; `paused` when the frame was not even looked at.
   */
  handle(now: Millis, body: Uint8Array, inSession: boolean): Answered | undefined {
    const { peerKey, role } = this.#options;
    if (body[0] === ANSWER_TYPE) {
      // Inside a session it is the answer to a repeated call.
      if (inSession || this.#calling === undefined || peerKey === undefined) return undefined;
      const { keys, payload } = this.#calling.handleFrame(now, body);
      return { keys, peerKey, hello: payload };
    }
    // Both call at once: the primary's call wins.
    if (this.#calling !== undefined && !inSession && role === 'primary') return undefined;
    if (this.#answering === undefined) throw new ProtocolError('bad-handshake', 'handshake: not called here');
    this.#answering.handleCall(now, body, inSession);
    return undefined;
  }

  /** A sealed frame that no session opens: the caller whose call was answered and who is there, if it is of one. */
  confirm(body: Uint8Array): Confirmed | undefined {
    return this.#answering?.handleSealed(body);
  }

  /** The present session came from this call. */
  settle(call: Uint8Array): void {
    this.#answering?.settle(call);
  }

  /**
   * A frame without damage was a call of nobody known: for how long no call is read now, ms. Whoever can call again and
   * again on a network is bounded by what accepts its connections: undefined.
   */
  pause(now: Millis): number | undefined {
    return this.#times.isFast ? undefined : this.#answering?.pause(now);
  }
}
