import { call, type Call, type SessionKeys } from '../handshake/noise-ik.js';
import type { Millis } from '../units.js';
import { ProtocolError } from '../errors.js';
import { ANSWER_TYPE, CALL_TYPE } from './handshake-frame.js';
import type { LineTimes } from './line-times.js';
import type { LinkOptions } from './link-options.js';
import type { RoundTrip } from './rtt.js';
import type { LinkTimers } from './timers.js';

/** Longest time between two repeats of a call, ms: a cable whose other end is switched on is noticed soon. */
const MAX_CALL_INTERVAL = 5000;

/** The initiator's half of the handshake: one call, repeated as it is until it is answered. */
export class Calling {
  readonly #call: Call;
  readonly #times: LineTimes;
  readonly #timers: LinkTimers;
  readonly #roundTrip: RoundTrip;
  #due = true;
  #sent = 0;
  #sentAt: Millis | undefined;

  constructor(
    options: LinkOptions,
    peerKey: Uint8Array,
    times: LineTimes,
    timers: LinkTimers,
    roundTrip: RoundTrip,
  ) {
    const hello = options.hello ?? new Uint8Array();
    this.#call = call(options.role, options.keys, peerKey, hello, options.randomBytes);
    this.#times = times;
    this.#timers = timers;
    this.#roundTrip = roundTrip;
  }

  /** The timer has expired. */
  makeDue(): void {
    this.#due = true;
  }

  transmit(now: Millis): Uint8Array | undefined {
    if (!this.#due) return undefined;
    this.#due = false;
    this.#sentAt = now;
    const patience = Math.min(this.#roundTrip.limit * 1.5 ** this.#sent++, MAX_CALL_INTERVAL);
    this.#timers.set('call', now + patience + 4 * this.#times.timeOf(this.#call.bytes.length));
    return Buffer.concat([Uint8Array.of(CALL_TYPE), this.#call.bytes]);
  }

  /** An answer to this call: the session's keys and the peer's hello. Throws `bad-handshake` for anything else. */
  handleFrame(now: Millis, body: Uint8Array): { readonly keys: SessionKeys; readonly payload: Uint8Array } {
    if (body[0] !== ANSWER_TYPE) throw new ProtocolError('bad-handshake', 'handshake: not an answer');
    const answer = this.#call.read(body.subarray(1));
    // Repeated, it is not known which of the calls was answered.
    if (this.#sent === 1 && this.#sentAt !== undefined) {
      const onTheLine = this.#times.timeOf(this.#call.bytes.length + body.length);
      this.#roundTrip.sample(now - this.#sentAt - onTheLine);
    }
    return answer;
  }
}
