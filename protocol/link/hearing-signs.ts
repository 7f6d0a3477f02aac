import type { Millis } from '../units.js';
import type { LineTimes } from './line-times.js';
import type { LinkTimers } from './timers.js';

/** Bytes that have come so long ago, ms, are no sign that the line carries any: a line is fed in slices of 60. */
const FRESH = 100;
/** What may come as one slice on a line that is slower than that, bytes. */
const SLICE_BYTES = 32;

/**
 * The receiving half of noticing an outage while a long frame is on the line. A report can only come when a frame has ended;
 * so in the midst of a long one the receiver says that bytes are coming in, with an empty frame. A sender who misses it
 * knows that the rest of the frame is not worth its time.
 */
export class HearingSigns {
  readonly #times: LineTimes;
  readonly #timers: LinkTimers;
  #arrivedAt = -Infinity;
  #lastAt = -Infinity;

  constructor(times: LineTimes, timers: LinkTimers) {
    this.#times = times;
    this.#timers = timers;
  }

  /** Bytes of a frame have come that has not ended. */
  noteArriving(now: Millis): void {
    this.#arrivedAt = now;
    const interval = this.#times.signInterval(this.#times.peerFrameTime);
    if (interval === undefined || this.#timers.isSet('sign')) return;
    this.#timers.set('sign', Math.max(now, this.#lastAt + interval));
  }

  /** A report or a sign goes out. */
  noteSent(now: Millis): void {
    this.#lastAt = now;
    this.#timers.clear('sign');
  }

  /** The timer has expired: is a sign due. */
  isDue(now: Millis): boolean {
    return now - this.#arrivedAt <= Math.max(FRESH, this.#times.timeOf(SLICE_BYTES));
  }
}
