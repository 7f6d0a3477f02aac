import type { Millis } from '../units.js';
import type { LineTimes } from './line-times.js';
import { REPORT_HOLD } from './report-schedule.js';
import type { RoundTrip } from './rtt.js';
import type { LinkTimers } from './timers.js';

/** Prompts in a row without an answer: not a lost frame, but an outage. */
const UNHEARD = 2;

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

  /** Questions in a row have found no answer: nothing gets through at all, whatever the size of frames. */
  get isUnheard(): boolean {
    return this.#unanswered > UNHEARD;
  }

  /** The timer has expired. */
  makeDue(): void {
    this.#due = true;
  }

  /** A segment goes out that takes so long on the line, ms: the peer reports when it has come, or soon after. */
  noteSegment(now: Millis, lineTime: number): void {
    if (this.#timers.isSet('prompt')) return;
    this.#timers.set('prompt', now + lineTime + this.#times.reportInterval + this.#answerTime);
  }

  /** A prompt goes out in a frame that takes so long on the line, ms. */
  notePrompt(now: Millis, lineTime: number): void {
    this.#due = false;
    const late = this.#answerTime + lineTime;
    const patience = Math.min(late * 1.5 ** this.#unanswered, Math.max(late, this.#times.probeInterval));
    this.#timers.set('prompt', now + patience);
    this.#unanswered++;
  }

  /**
   * `answered`: the last prompt had been seen; `waiting`: segments are under way that the report has not dealt with;
   * `more`: there is something to send; `nextAt`: when the first frame that the report has not seen has left.
   */
  noteReport(
    now: Millis,
    {
      answered,
      waiting,
      more,
      nextAt,
    }: {
      readonly answered: boolean;
      readonly waiting: boolean;
      readonly more: boolean;
      readonly nextAt: number | undefined;
    },
  ): void {
    this.#due = false;
    this.#unanswered = 0;
    if (!waiting || more) {
      this.#timers.clear('prompt');
      // The peer lets an interval pass between two reports; without a frame under way, the next segment sets the timer.
      if (nextAt !== undefined) {
        this.#timers.set('prompt', Math.max(nextAt, now + this.#times.reportInterval) + this.#answerTime);
      }
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
    return this.#roundTrip.limit + REPORT_HOLD + this.#times.lead + this.#times.peerFrameTime;
  }
}
