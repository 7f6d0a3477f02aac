import type { Millis } from '../units.js';
import { FrameSize, type FrameOutcome } from './frame-size.js';
import type { LineTimes } from './line-times.js';
import type { Report } from './report.js';
import type { RoundTrip } from './rtt.js';
import type { Dealt } from './segment-sender.js';
import { Window } from './window.js';

/** What a sender knows of its line from the reports that come back: how long frames may be, and how much under way. */
export class LineMeasures {
  readonly #times: LineTimes;
  readonly #roundTrip: RoundTrip;
  readonly #frameSize: FrameSize;
  readonly #window = new Window();
  #repairedBits = 0;

  constructor(times: LineTimes, roundTrip: RoundTrip) {
    this.#times = times;
    this.#roundTrip = roundTrip;
    this.#frameSize = new FrameSize(times.largestSegment);
  }

  /** Parcel or message bytes for a frame. */
  get size(): number {
    return this.#times.isFast ? this.#times.largestSegment : this.#frameSize.best;
  }

  /** Parcel bytes under way; undefined where it is the line that limits. */
  get window(): number | undefined {
    return this.#times.isFast ? this.#window.bytes : undefined;
  }

  noteReport(now: Millis, { delay, repaired }: Report, { answers, outcomes, limited }: Dealt): void {
    if (answers !== undefined) {
      const measured = now - answers.at - delay - this.#times.timeOfFrame(answers.content);
      this.#roundTrip.sample(measured);
      const through = outcomes.reduce((sum, { content, lost }) => sum + (lost ? 0 : content), 0);
      this.#window.note(measured, through, limited);
    }
    this.#frameSize.note(outcomes, repaired - this.#repairedBits);
    this.#repairedBits = repaired;
  }

  /** What has become of frames of which scraps have come. */
  noteScraps(outcomes: readonly FrameOutcome[]): void {
    this.#frameSize.note(outcomes, 0);
  }
}
