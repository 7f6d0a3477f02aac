import { ProtocolError } from '../errors.js';
import { RangeSet, type Range } from '../ranges.js';
import type { Millis, ParcelId } from '../units.js';
import { MAX_HANDLE_SPAN, MAX_PARCELS, MAX_WINDOW } from './limits.js';
import type { Crc32 } from '../framing/frame.js';
import type { Piece } from './pieces.js';
import { Flight, type Landed, type Sending } from './flight.js';
import type { OutgoingParcel } from './outgoing-parcel.js';
import { recallOf, recallPiece, wholeBlocks, type Recall } from './recalls.js';
import type { FrameOutcome } from './frame-size.js';
import type { LinkEvent } from './link-event.js';
import { rangesOf, type ParcelReport, type Report } from './report.js';
import { SCRAP_BLOCK } from './scrap-blocks.js';
import { segmentEnd } from './segment-end.js';

/**
 * The sending half of selective repeat. Every byte of a parcel is in one of three places: confirmed (the receiver
 * holds it), in flight (its latest sending is not dealt with by a report), or to be sent. A report moves bytes: what it
 * names as held becomes confirmed; a sending up to its `upTo` that is not confirmed is lost and is sent again.
 */

/** A segment to put on the line. */
export interface Outgoing {
  readonly handle: number;
  readonly parcel: ParcelId;
  /** The frame must say which parcel the handle stands for. */
  readonly announce: boolean;
  readonly offset: number;
  /** A view of the parcel. */
  readonly bytes: Uint8Array;
  /** How many of the bytes had been sent before. */
  readonly repeated: number;
}

/** What goes out instead of bytes that have come already. */
export interface OutgoingRecall {
  readonly parcel: ParcelId;
  readonly announce: boolean;
  readonly piece: Piece & { readonly kind: 'recall' };
  /** Parcel bytes that need not be sent again. */
  readonly bytes: number;
}

/** What a report has told of the frames. */
export interface Dealt {
  /** When the last frame it has seen was sent and what it carried, if that was a segment. */
  readonly answers: { readonly at: Millis; readonly content: number } | undefined;
  readonly outcomes: readonly FrameOutcome[];
  /** Before it came the window was all that kept new data back. */
  readonly limited: boolean;
}

/** What any damage costs, of a frame that is saved but for that: no reason for shorter frames. */
const LOCAL_LOSS = 2 * SCRAP_BLOCK;

/** Above this part of segments lost, the idle line at the end of a burst repeats unasked what is not confirmed. */
const LOSSY = 0.05;

export class SegmentSender {
  readonly #parcels: OutgoingParcel[] = [];
  readonly #emit: (event: LinkEvent) => void;
  readonly #crc32: Crc32;
  #recalls: Recall[] = [];
  #nextHandle = 0;
  readonly #flight = new Flight();
  /** The part of the last sixteen or so segments that was lost by the line's fault. */
  #lossRate = 0;
  /** The longest segment that may be repeated although no report has been heard of it. */
  #repeatable = 0;
  #window = MAX_WINDOW;
  /** Since the last report the window was all that kept new data back. */
  #limited = false;
  /** Last frame that the receiver had seen when it reported. */
  #seen = -1;
  /** No new data until a report comes. */
  #stalled = false;

  constructor(emit: (event: LinkEvent) => void, crc32: Crc32) {
    this.#emit = emit;
    this.#crc32 = crc32;
  }

  get isIdle(): boolean {
    return this.#parcels.length === 0;
  }

  /** How many bytes may be under way from now on. */
  set window(bytes: number) {
    this.#window = bytes;
  }

  /** There is new data, and it waits for a report. */
  get isStalled(): boolean {
    return this.#stalled;
  }

  /** Segments are under way that no report has dealt with. */
  get isWaiting(): boolean {
    return !this.#flight.isEmpty;
  }

  /** Handles below it are settled. */
  get floor(): number {
    return this.#parcels[0]?.handle ?? this.#nextHandle;
  }

  /** There is a segment to send now. */
  get isDue(): boolean {
    return (
      (this.#recalls.length > 0 && !this.#stalled) ||
      this.#nextNew() !== undefined ||
      this.#nextRepeat() !== undefined
    );
  }

  queue(id: ParcelId, bytes: Uint8Array, held: readonly Range[]): void {
    if (this.#parcels.some((parcel) => parcel.id === id))
      throw new RangeError(`parcel ${id} is queued already`);
    if (this.#parcels.length >= MAX_PARCELS) {
      throw new ProtocolError('limit-exceeded', `more than ${MAX_PARCELS} parcels queued`);
    }
    const confirmed = new RangeSet(held);
    confirmed.remove(bytes.length, Number.MAX_SAFE_INTEGER);
    const parcel: OutgoingParcel = {
      id,
      handle: this.#nextHandle++,
      bytes,
      confirmed,
      toSend: new RangeSet(confirmed.gaps(0, bytes.length)),
      sent: new RangeSet(),
      announced: false,
    };
    this.#parcels.push(parcel);
    if (parcel.toSend.isEmpty) this.#settle(parcel, { kind: 'parcel-held', parcel: id });
  }

  /** What the receiver is known to hold of it. */
  withdraw(id: ParcelId): readonly Range[] {
    const parcel = this.#parcels.find((candidate) => candidate.id === id);
    if (parcel === undefined) return [];
    const held = [...parcel.confirmed.ranges];
    this.#settle(parcel);
    return held;
  }

  /** The next segment, of at most `size` bytes, for the frame of this number. */
  take(now: Millis, frame: number, size: number): Outgoing | undefined {
    const fresh = this.#nextNew();
    const repeat = fresh === undefined ? this.#nextRepeat() : undefined;
    const parcel = fresh?.parcel ?? repeat?.parcel;
    if (parcel === undefined) return undefined;
    const start = fresh?.range.start ?? (repeat as Sending).start;
    const end = fresh === undefined ? (repeat as Sending).end : segmentEnd(fresh.range, size);
    if (repeat !== undefined) {
      this.#flight.supersede(repeat);
      this.#repeatable = 0;
    }
    parcel.toSend.remove(start, end);
    const unsent = parcel.sent.gaps(start, end).reduce((sum, gap) => sum + gap.end - gap.start, 0);
    parcel.sent.add(start, end);
    this.#flight.add(frame, now, parcel, { start, end }, { again: repeat !== undefined });
    return {
      handle: parcel.handle,
      parcel: parcel.id,
      announce: !parcel.announced,
      offset: start,
      bytes: parcel.bytes.subarray(start, end),
      repeated: end - start - unsent,
    };
  }

  /**
   * The receiver has scraps of a damaged frame, which is lost by that: what of it came whole is not sent again, only its
   * digest. Returns what became of the frame.
   */
  handleScraps(pieces: readonly (Piece & { readonly kind: 'scrap' })[]): readonly FrameOutcome[] {
    const outcomes: FrameOutcome[] = [];
    let recalled = 0;
    for (const piece of pieces) {
      const parcel = this.#parcels.find(({ id }) => id === piece.parcel);
      const whole = parcel === undefined ? [] : wholeBlocks(piece, parcel, this.#crc32);
      if (parcel === undefined || !whole.includes(true)) continue;
      const { frame } = piece;
      if (frame !== undefined) outcomes.push(...this.#land(this.#flight.giveUp(frame)));
      const recall = recallOf(piece, parcel, whole);
      if (recall === undefined) continue;
      this.#queueRecall(recall);
      recalled += recall.ranges.reduce((sum, { start, end }) => sum + end - start, 0);
    }
    return this.#noteLosses(
      outcomes.map((outcome) => ({
        ...outcome,
        share: Math.max(0, outcome.content - recalled - LOCAL_LOSS) / outcome.content,
      })),
    );
  }

  /** A recall for the frame of this number, if one is due. */
  takeRecall(now: Millis, frame: number): OutgoingRecall | undefined {
    const recall = this.#stalled ? undefined : this.#recalls.shift();
    if (recall === undefined) return undefined;
    const { parcel, ranges } = recall;
    for (const range of ranges) this.#flight.add(frame, now, parcel, range, { recall });
    return {
      parcel: parcel.id,
      announce: !parcel.announced,
      piece: recallPiece(recall),
      bytes: ranges.reduce((sum, { start, end }) => sum + end - start, 0),
    };
  }

  /**
   * The question for a report was not answered in time. With nothing new to send, a segment of up to `cheap` bytes is
   * repeated: what takes no longer than to ask for it first.
   */
  handleSilence(cheap: number): void {
    if (this.#hasUnsent()) this.#stalled = true;
    else this.#repeatable = cheap;
  }

  /** The frame on the line is given up, if it may carry a segment and no report has seen it. Is there one. */
  abandonLast(): boolean {
    const { last } = this.#flight;
    if (!this.#stalled || last === undefined || last.frame <= this.#seen || last.excused) return false;
    last.excused = true;
    return true;
  }

  /** Nothing gets through at all: what is lost by that says nothing of the line before and after it. */
  excuseFlight(): void {
    this.#flight.excuseAll();
  }

  /** The first frame under way that no report has seen, of those that may still arrive. */
  get unseen(): { readonly at: Millis; readonly content: number } | undefined {
    return this.#flight.firstFrame(({ frame, excused }) => frame > this.#seen && !excused);
  }

  /** Takes in a report. */
  handleReport(report: Report): Dealt {
    const answers = this.#flight.firstFrame(({ frame }) => frame === report.seen);
    // The peer is heard, but does it hear: a report that it makes by itself has nothing new.
    if (report.seen > this.#seen) this.#stalled = false;
    this.#seen = report.seen;
    this.#repeatable = 0;
    const progressed = new Set<OutgoingParcel>();
    for (const part of report.parcels) {
      const parcel = this.#parcels.find((candidate) => candidate.handle === part.handle);
      if (parcel !== undefined && this.#confirm(parcel, part)) progressed.add(parcel);
    }
    const outcomes = this.#noteLosses(this.#land(this.#flight.dealWith(report)));
    for (const parcel of progressed) {
      if (parcel.confirmed.covers(0, parcel.bytes.length)) {
        this.#settle(parcel, { kind: 'parcel-held', parcel: parcel.id });
      } else {
        this.#emit({
          kind: 'progress',
          parcel: parcel.id,
          held: parcel.confirmed.size,
          length: parcel.bytes.length,
        });
      }
    }
    const limited = this.#limited;
    this.#limited = false;
    return { answers, outcomes, limited };
  }

  #noteLosses(outcomes: readonly FrameOutcome[]): readonly FrameOutcome[] {
    for (const { lost, share = 1 } of outcomes) this.#lossRate += ((lost ? share : 0) - this.#lossRate) / 16;
    return outcomes;
  }

  /** A recall that was lost with its frame goes out once more: the receiver still has the scrap. */
  #land({ outcomes, recalls }: Landed): readonly FrameOutcome[] {
    for (const recall of recalls) {
      const { parcel, ranges, again } = recall;
      if (again || !ranges.every(({ start, end }) => parcel.toSend.covers(start, end))) continue;
      this.#queueRecall({ ...recall, again: true });
    }
    return outcomes;
  }

  #queueRecall(recall: Recall): void {
    for (const { start, end } of recall.ranges) recall.parcel.toSend.remove(start, end);
    this.#recalls.push(recall);
  }

  /** Takes in what a report says of one parcel; did more of it become confirmed. */
  #confirm(parcel: OutgoingParcel, part: ParcelReport): boolean {
    parcel.announced = true;
    switch (part.kind) {
      case 'refused':
        this.#settle(parcel, { kind: 'parcel-refused', parcel: parcel.id });
        return false;
      case 'unknown':
        return false;
      case 'whole':
        parcel.confirmed.add(0, parcel.bytes.length);
        return true;
      case 'part': {
        const { held, missing } = rangesOf(part, parcel.bytes.length);
        let more = false;
        for (const { start, end } of held) {
          if (parcel.confirmed.covers(start, end)) continue;
          parcel.confirmed.add(start, end);
          parcel.toSend.remove(start, end);
          more = true;
        }
        // Believed to be held, from an earlier session: the receiver knows better.
        for (const { start, end } of missing) {
          if (!parcel.confirmed.intersects(start, end)) continue;
          for (const range of intersection(parcel.confirmed, start, end))
            parcel.toSend.add(range.start, range.end);
          parcel.confirmed.remove(start, end);
        }
        return more;
      }
      default:
        return part satisfies never;
    }
  }

  #settle(parcel: OutgoingParcel, event?: LinkEvent): void {
    this.#parcels.splice(this.#parcels.indexOf(parcel), 1);
    this.#recalls = this.#recalls.filter((recall) => recall.parcel !== parcel);
    this.#flight.drop(parcel);
    if (event !== undefined) this.#emit(event);
  }

  #hasUnsent(): boolean {
    return this.#recalls.length > 0 || this.#parcels.some((parcel) => !parcel.toSend.isEmpty);
  }

  #nextNew(): { readonly parcel: OutgoingParcel; readonly range: Range } | undefined {
    if (this.#stalled) return undefined;
    if (this.#flight.bytes >= this.#window) {
      this.#limited ||= this.#hasUnsent();
      return undefined;
    }
    const span = this.floor + MAX_HANDLE_SPAN;
    for (const parcel of this.#parcels) {
      if (parcel.handle >= span) return undefined;
      const range = parcel.toSend.ranges[0];
      if (range !== undefined) return { parcel, range };
    }
    return undefined;
  }

  #nextRepeat(): Sending | undefined {
    const longest = this.#lossRate < LOSSY ? this.#repeatable : Infinity;
    if (longest === 0 || this.#hasUnsent()) return undefined;
    return this.#flight.find(
      ({ frame, parcel, start, end, again, recall, superseded }) =>
        frame > this.#seen &&
        recall === undefined &&
        end - start <= longest &&
        !again &&
        !superseded &&
        !parcel.confirmed.intersects(start, end),
    );
  }
}

function intersection(set: RangeSet, start: number, end: number): Range[] {
  const outside = new RangeSet(set.gaps(start, end));
  return outside.gaps(start, end);
}
