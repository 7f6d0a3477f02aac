import type { Millis } from '../units.js';
import type { LineTimes } from './line-times.js';
import type { LinkTimers } from './timers.js';

/** A prompted report waits this long, ms, for what has arrived to be stored. The one who prompts allows for it. */
export const REPORT_HOLD = 100;

/** On a fast line a report goes out for so many bytes kept: an eighth of the sender's window. */
const REPORT_BYTES = 1 << 20;

/** When the receiver of parcels reports: by time while data arrive, sooner after a gap, and when prompted. */
export class ReportSchedule {
  readonly #times: LineTimes;
  readonly #timers: LinkTimers;
  #lastAt = -Infinity;
  #due = false;
  /** A prompt came, and not all that had arrived by then has been reported as dealt with. */
  #owed = false;

  constructor(times: LineTimes, timers: LinkTimers) {
    this.#times = times;
    this.#timers = timers;
  }

  get isDue(): boolean {
    return this.#due;
  }

  noteData(now: Millis): void {
    const next = this.#lastAt + this.#times.reportInterval;
    if (this.#times.isFast) {
      if (!this.#timers.isSet('report')) this.#timers.set('report', now + this.#times.reportInterval);
    } else if (now < next) {
      this.#bringForward(next);
    } else {
      // At once when it is kept, so that a sender of long frames hears of each before it has sent much of the next.
      this.#owed = true;
      this.#bringForward(now + REPORT_HOLD);
    }
  }

  /** Frames are missing: the sender should know before the end, but losses that come together share a report. */
  noteGap(now: Millis): void {
    const interval = this.#times.reportInterval;
    this.#bringForward(Math.max(now + interval / 4, this.#lastAt + interval / 2));
  }

  notePrompt(now: Millis, settled: boolean): void {
    this.#owed = true;
    if (settled) this.#due = true;
    else this.#bringForward(now + REPORT_HOLD);
  }

  noteKept(settled: boolean, keptBytes: number): void {
    if ((this.#owed && settled) || keptBytes >= REPORT_BYTES) this.#due = true;
  }

  /** Something was refused, or the timer has expired. */
  makeDue(): void {
    this.#due = true;
  }

  noteSent(now: Millis, settled: boolean): void {
    this.#due = false;
    this.#lastAt = now;
    this.#timers.clear('report');
    if (settled) this.#owed = false;
  }

  #bringForward(at: number): void {
    const set = this.#timers.at('report');
    if (set === undefined || set > at) this.#timers.set('report', at);
  }
}
