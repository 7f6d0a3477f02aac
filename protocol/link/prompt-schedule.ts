import type { Millis } from '../units.js';
import type { LineTimes } from './line-times.js';
import { REPORT_HOLD } from './report-schedule.js';
import type { RoundTrip } from './rtt.js';
import type { LinkTimers } from './timers.js';

/** Prompts in a row without an answer: not a lost frame, but an outage. */
const UNHEARD = 2;

/** The peer goes by the frames that have come, the longest of which may have been lost: of those that went out, so much. */
const SURE_SHARE = 0.7;

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
  /** The peer says in the midst of long frames that they are coming in. */
  #hasSigns = false;

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

  /** The peer says that the frame on the line is coming in. */
  noteSign(now: Millis): void {
    this.#hasSigns = true;
    const late = this.#lateSign(now);
    if (late !== undefined) this.#timers.set('prompt', late);
  }

  /** A segment goes out that takes so long on the line, ms: the peer reports when it has come, or soon after. */
  noteSegment(now: Millis, lineTime: number): void {
    if (this.#timers.isSet('prompt')) return;
    const late = now + lineTime + this.#times.reportInterval + this.#answerTime;
    this.#timers.set('prompt', Math.min(late, this.#lateSign(now) ?? late));
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
        const late = Math.max(nextAt, now + this.#times.reportInterval) + this.#answerTime;
        this.#timers.set('prompt', Math.min(late, this.#lateSign(now) ?? late));
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

  /** When a sign or a report is late, something having been heard of the peer now; undefined: it makes no signs. */
  #lateSign(now: Millis): number | undefined {
    const { ownFrameTime } = this.#times;
    if (!this.#hasSigns || this.#times.signInterval(SURE_SHARE * ownFrameTime) === undefined)
      return undefined;
    const interval = this.#times.signInterval(ownFrameTime);
    return interval === undefined ? undefined : now + interval + this.#answerTime;
  }

  get #answerTime(): number {
    return this.#roundTrip.limit + REPORT_HOLD + this.#times.lead + this.#times.peerFrameTime;
  }
}
