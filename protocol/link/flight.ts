import type { Range } from '../ranges.js';
import type { Millis } from '../units.js';
import type { FrameOutcome } from './frame-size.js';
import type { OutgoingParcel } from './outgoing-parcel.js';
import type { Recall } from './recalls.js';
import type { Report } from './report.js';

/** One sending of a segment. */
export interface Sending {
  readonly frame: number;
  readonly at: Millis;
  readonly parcel: OutgoingParcel;
  readonly start: number;
  readonly end: number;
  /** It was repeated for want of anything better to do, and is not so again. */
  readonly again: boolean;
  /** Only a digest was sent, of what should be there already. */
  readonly recall: Recall | undefined;
  /** It was cut off on purpose, or nothing got through at all: its loss says nothing of the line. */
  excused: boolean;
  /** A later sending of the same bytes counts now. */
  superseded: boolean;
}

/** What has become of sendings that are over. */
export interface Landed {
  readonly outcomes: readonly FrameOutcome[];
  /** Recalls that were lost with their frames. */
  readonly recalls: readonly Recall[];
}

/** What was sent and no report has dealt with, in the order of frames. */
export class Flight {
  #sendings: Sending[] = [];
  #bytes = 0;

  get isEmpty(): boolean {
    return this.#sendings.length === 0;
  }

  /** Parcel bytes under way. */
  get bytes(): number {
    return this.#bytes;
  }

  get last(): Sending | undefined {
    return this.#sendings.at(-1);
  }

  find(isIt: (sending: Sending) => boolean): Sending | undefined {
    return this.#sendings.find(isIt);
  }

  /** When the first such frame was sent, and the parcel bytes in it: of what was recalled there are none on the line. */
  firstFrame(
    isIt: (sending: Sending) => boolean,
  ): { readonly at: Millis; readonly content: number } | undefined {
    const first = this.#sendings.find(isIt);
    if (first === undefined) return undefined;
    const carried = this.#sendings.filter(
      ({ frame, recall }) => frame === first.frame && recall === undefined,
    );
    return { at: first.at, content: carried.reduce((sum, { start, end }) => sum + end - start, 0) };
  }

  add(
    frame: number,
    at: Millis,
    parcel: OutgoingParcel,
    { start, end }: Range,
    how: { readonly again?: boolean; readonly recall?: Recall } = {},
  ): void {
    const { again = false, recall } = how;
    this.#sendings.push({
      frame,
      at,
      parcel,
      start,
      end,
      again,
      recall,
      excused: false,
      superseded: false,
    });
    this.#bytes += end - start;
  }

  /** The same bytes are sent again. */
  supersede(sending: Sending): void {
    sending.superseded = true;
    this.#bytes -= sending.end - sending.start;
  }

  /** Nothing gets through at all: what is lost by that says nothing of the line before and after it. */
  excuseAll(): void {
    for (const sending of this.#sendings) sending.excused = true;
  }

  /** A parcel is settled. */
  drop(parcel: OutgoingParcel): void {
    this.#sendings = this.#sendings.filter((sending) => sending.parcel !== parcel);
    this.#bytes = this.#sendings.reduce(
      (sum, { superseded, start, end }) => sum + (superseded ? 0 : end - start),
      0,
    );
  }

  /** This frame is known to be lost before a report says so. */
  giveUp(frame: number): Landed {
    const lost = this.#sendings.filter((sending) => sending.frame === frame && !sending.superseded);
    this.#sendings = this.#sendings.filter((sending) => !lost.includes(sending));
    return this.#settle(lost);
  }

  /**
   * Sendings up to the report's `upTo` are over: what they carried is confirmed, or lost and to be sent again. Where
   * the report was cut short, those behind the cut stay in flight for a later one to decide.
   */
  dealWith(report: Report): Landed {
    const cuts = cutsOf(report);
    const over: Sending[] = [];
    const undecided: Sending[] = [];
    for (const sending of this.#sendings) {
      if (sending.frame > report.upTo) break;
      if (sending.superseded || sending.end <= (cuts.get(sending.parcel.handle) ?? Infinity))
        over.push(sending);
      else undecided.push(sending);
    }
    this.#sendings.splice(0, over.length + undecided.length, ...undecided);
    return this.#settle(over.filter(({ superseded }) => !superseded));
  }

  #settle(over: readonly Sending[]): Landed {
    const outcomes: FrameOutcome[] = [];
    const recalls = new Set<Recall>();
    for (const { parcel, start, end, excused, recall } of over) {
      this.#bytes -= end - start;
      const gaps = parcel.confirmed.gaps(start, end);
      for (const gap of gaps) parcel.toSend.add(gap.start, gap.end);
      const lost = gaps.length > 0;
      if (recall !== undefined && lost) recalls.add(recall);
      if (recall !== undefined || excused) continue;
      outcomes.push({ content: end - start, lost });
    }
    return { outcomes, recalls: [...recalls] };
  }
}

/** Where a report ends that was cut short, by handle. */
function cutsOf({ parcels }: Report): Map<number, number> {
  const cuts = new Map<number, number>();
  for (const part of parcels) {
    if (part.kind !== 'part' || part.complete) continue;
    cuts.set(
      part.handle,
      part.runs.reduce((sum, run) => sum + run, 0),
    );
  }
  return cuts;
}
