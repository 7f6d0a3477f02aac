import type { RangeSet, Range } from '../ranges.js';
import type { Millis, ParcelId } from '../units.js';
import type { FrameOutcome } from './frame-size.js';
import type { Report } from './report.js';

/** A parcel that is being sent. */
export interface OutgoingParcel {
  readonly id: ParcelId;
  readonly handle: number;
  readonly bytes: Uint8Array;
  readonly confirmed: RangeSet;
  readonly toSend: RangeSet;
  /** Everything that was sent in this session, to count what goes twice. */
  readonly sent: RangeSet;
  /** A report has named the handle, so it need not be announced any more. */
  announced: boolean;
}

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
  readonly recalled: boolean;
  /** It was cut off on purpose, or nothing got through at all: its loss says nothing of the line. */
  excused: boolean;
  /** A later sending of the same bytes counts now. */
  superseded: boolean;
}

/** What was sent and no report has dealt with, in the order of frames. */
export class Flight {
  #sendings: Sending[] = [];
  #bytes = 0;
  #lossRate = 0;

  get isEmpty(): boolean {
    return this.#sendings.length === 0;
  }

  /** Parcel bytes under way. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The part of the last sixteen or so segments that was lost by the line's fault. */
  get lossRate(): number {
    return this.#lossRate;
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
    const carried = this.#sendings.filter(({ frame, recalled }) => frame === first.frame && !recalled);
    return { at: first.at, content: carried.reduce((sum, { start, end }) => sum + end - start, 0) };
  }

  add(
    frame: number,
    at: Millis,
    parcel: OutgoingParcel,
    { start, end }: Range,
    how: { readonly again?: boolean; readonly recalled?: boolean } = {},
  ): void {
    const { again = false, recalled = false } = how;
    this.#sendings.push({
      frame,
      at,
      parcel,
      start,
      end,
      again,
      recalled,
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

  /** The segment of this frame is known to be lost before a report says so. */
  giveUp(frame: number, parcel: OutgoingParcel, start: number): FrameOutcome[] {
    const at = this.#sendings.findIndex(
      (sending) =>
        sending.frame === frame &&
        sending.parcel === parcel &&
        sending.start === start &&
        !sending.superseded &&
        !sending.recalled,
    );
    const sending = this.#sendings[at];
    if (sending === undefined) return [];
    this.#sendings.splice(at, 1);
    return this.#settle(sending);
  }

  /**
   * Sendings up to the report's `upTo` are over: what they carried is confirmed, or lost and to be sent again. Where
   * the report was cut short, those behind the cut stay in flight for a later one to decide.
   */
  dealWith(report: Report): FrameOutcome[] {
    const outcomes: FrameOutcome[] = [];
    const cuts = cutsOf(report);
    let count = 0;
    const undecided: Sending[] = [];
    for (const sending of this.#sendings) {
      if (sending.frame > report.upTo) break;
      count++;
      if (sending.superseded) continue;
      if (sending.end > (cuts.get(sending.parcel.handle) ?? Infinity)) undecided.push(sending);
      else outcomes.push(...this.#settle(sending));
    }
    this.#sendings.splice(0, count, ...undecided);
    return outcomes;
  }

  #settle({ parcel, start, end, excused, recalled }: Sending): FrameOutcome[] {
    this.#bytes -= end - start;
    const gaps = parcel.confirmed.gaps(start, end);
    for (const gap of gaps) parcel.toSend.add(gap.start, gap.end);
    if (excused || recalled) return [];
    const lost = gaps.length > 0;
    this.#lossRate += ((lost ? 1 : 0) - this.#lossRate) / 16;
    return [{ content: end - start, lost }];
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
