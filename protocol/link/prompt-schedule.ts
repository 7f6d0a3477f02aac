import type { Millis } from '../units.js';
import type { LineTimes } from './line-times.js';
import { REPORT_HOLD } from './report-schedule.js';
import type { RoundTrip } from './rtt.js';
import type { LinkTimers } from './timers.js';

/**
 * When the sender of parcels asks for a report: with the last segment of a burst, when the answer to that is late, and
 * when data flow and no report has come for a report interval and a round trip. Unanswered questions grow rarer down to
 * one in a probe interval.
 */
export class PromptSchedule {
  readonly #times: LineTimes;
  readonly #roundTrip: RoundTrip;
  readonly #timers: LinkTimers;
  #due = false;
  #unanswered = 0;

  constructor(times: LineTimes, roundTrip: RoundTrip, timers: LinkTimers) {
    this.#times = times;
    this.#roundTrip = roundTrip;
    this.#timers = timers;
  }

  get isDue(): boolean {
    return this.#due;
  }

  /** The timer has expired. */
  makeDue(): void {
    this.#due = true;
  }

  noteSegment(now: Millis): void {
    if (!this.#timers.isSet('prompt')) {
      this.#timers.set('prompt', now + this.#times.reportInterval + this.#answerTime);
    }
  }

  notePrompt(now: Millis): void {
    this.#due = false;
    const late = this.#answerTime;
    const patience = Math.min(late * 1.5 ** this.#unanswered, Math.max(late, this.#times.probeInterval));
    this.#timers.set('prompt', now + patience);
    this.#unanswered++;
  }

  /**
   * `answered`: the last prompt had been seen; `waiting`: segments are under way that the report has not dealt with;
   * `more`: there is something to send.
   */
  noteReport(now: Millis, answered: boolean, waiting: boolean, more: boolean): void {
    this.#due = false;
    this.#unanswered = 0;
    if (!waiting || more) {
      // With more to send, the next segment sets the timer.
      this.#timers.clear('prompt');
    } else if (answered) {
      this.#timers.set('prompt', now + Math.max(this.#answerTime, this.#times.probeInterval));
    } else if (!this.#timers.isSet('prompt')) {
      this.#timers.set('prompt', now + this.#answerTime);
    }
  }

  /** Nothing is to be asked about any more. */
  stop(): void {
    this.#due = false;
    this.#unanswered = 0;
    this.#timers.clear('prompt');
  }

  get #answerTime(): number {
    return this.#roundTrip.limit + REPORT_HOLD + this.#times.frameTime;
  }
}
