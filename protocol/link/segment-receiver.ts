import { RangeSet, type Range } from '../ranges.js';
import type { Millis, ParcelId } from '../units.js';
import {
  MAX_EARLY_BYTES,
  MAX_HANDLE_SPAN,
  MAX_HELD_RANGES,
  MAX_PENDING_BYTES,
  MAX_PENDING_SEGMENTS,
  MAX_REPORT_RUNS,
} from './limits.js';
import type { DamagedSegment } from './damaged-frame.js';
import type { LinkEvent } from './link-event.js';
import type { Crc32 } from '../framing/frame.js';
import type { Piece } from './pieces.js';
import type { Scraps } from './scraps.js';
import { blocksIn, SCRAP_BLOCK } from './scrap-blocks.js';
import { ScrapCollector } from './scrap-collector.js';
import { segmentEndAfter } from './segment-end.js';
import { runsOf, type ParcelReport, type Report } from './report.js';
import { badContent } from './wire.js';

/**
 * The receiving half of selective repeat. A segment is delivered once and pending until the layer above has kept it;
 * only what is kept is reported as held. Frames come in order of their numbers, so every data frame before the first
 * pending one has been dealt with, and that is the `upTo` of a report.
 */

interface Wanted {
  readonly length: number;
  readonly held: RangeSet;
  /** Held or delivered. */
  readonly arrived: RangeSet;
}

interface Announced {
  readonly parcel: ParcelId;
  offered: boolean;
}

/** A segment that is not dealt with: delivered and not kept, or early and not delivered. */
interface Pending {
  readonly frame: number;
  readonly parcel: ParcelId;
  /** undefined: the parcel is not expected yet, and `bytes` wait for that. */
  wanted: Wanted | undefined;
  readonly start: number;
  readonly end: number;
  early: Uint8Array | undefined;
}

export class SegmentReceiver {
  readonly scraps: ScrapCollector;
  readonly #emit: (event: LinkEvent) => void;
  readonly #wanted = new Map<ParcelId, Wanted>();
  /** Settled from our side; remembered until the sender's floor has passed the handle. */
  readonly #settled = new Map<ParcelId, 'whole' | 'refused'>();
  readonly #announced = new Map<number, Announced>();
  #floor = 0;
  readonly #pending: Pending[] = [];
  #pendingBytes = 0;
  #earlyBytes = 0;
  #lastFrame = -1;
  #lastFrameAt = 0;
  #keptBytes = 0;
  #deliveredBytes = 0;
  #duplicateBytes = 0;
  #repairedBits = 0;

  constructor(emit: (event: LinkEvent) => void, crc32: Crc32) {
    this.#emit = emit;
    this.scraps = new ScrapCollector(crc32);
  }

  /** Every segment that came has been dealt with. */
  get isSettled(): boolean {
    this.#dropDealtWith();
    return this.#pending.length === 0;
  }

  /** Parcels are expected or announced. */
  get isExpecting(): boolean {
    return this.#wanted.size > 0 || this.#announced.size > 0;
  }

  /** Parcels are expected of which something is missing. */
  get isWanting(): boolean {
    for (const { held, length } of this.#wanted.values()) if (!held.covers(0, length)) return true;
    return false;
  }

  /** Bytes kept since the last report. */
  get keptBytes(): number {
    return this.#keptBytes;
  }

  /** Bytes handed on. */
  get deliveredBytes(): number {
    return this.#deliveredBytes;
  }

  /** Bytes received that were held or delivered before. */
  get duplicateBytes(): number {
    return this.#duplicateBytes;
  }

  expect(id: ParcelId, length: number, held: readonly Range[]): void {
    const within = new RangeSet(held);
    within.remove(length, Number.MAX_SAFE_INTEGER);
    const wanted: Wanted = { length, held: within, arrived: new RangeSet(within.ranges) };
    this.#wanted.set(id, wanted);
    this.#settled.delete(id);
    for (const pending of this.#pending) {
      if (pending.parcel !== id || pending.early === undefined) continue;
      const bytes = pending.early;
      pending.early = undefined;
      pending.wanted = wanted;
      this.#earlyBytes -= bytes.length;
      this.#deliver(id, wanted, pending.start, bytes);
    }
    this.#recollect(id, wanted);
  }

  /** The session is one with the peer that has left these scraps. */
  adoptScraps(scraps: Scraps): void {
    this.scraps.adopt(scraps);
    for (const [id, wanted] of this.#wanted) this.#recollect(id, wanted);
  }

  #recollect(id: ParcelId, { arrived, length }: Wanted): void {
    this.scraps.recollect(id, (start, end) => !arrived.covers(start, Math.min(end, length)));
  }

  /** What is to be told of the scraps of one frame; nothing of one whose bytes have come meanwhile, such as with the rest of its frame. */
  takeScraps(): (Piece & { readonly kind: 'scrap' })[] {
    return this.scraps.take((id, start, end) => {
      const wanted = this.#wanted.get(id);
      return wanted !== undefined && !wanted.arrived.covers(start, Math.min(end, wanted.length));
    });
  }

  kept(id: ParcelId, start: number, end: number): void {
    const wanted = this.#wanted.get(id);
    if (wanted === undefined) return;
    wanted.held.add(start, Math.min(end, wanted.length));
    wanted.arrived.add(start, Math.min(end, wanted.length));
    this.#keptBytes += end - start;
  }

  refuse(id: ParcelId): void {
    this.#wanted.delete(id);
    this.#settled.set(id, 'refused');
  }

  forget(id: ParcelId): void {
    const wanted = this.#wanted.get(id);
    if (wanted === undefined) return;
    this.#wanted.delete(id);
    if (wanted.held.covers(0, wanted.length)) this.#settled.set(id, 'whole');
    for (const announced of this.#announced.values()) if (announced.parcel === id) announced.offered = false;
  }

  /** A valid frame has come; to be called before its pieces are handled. Were there frames missing before it. */
  noteFrame(now: Millis, frame: number): boolean {
    const gap = frame > this.#lastFrame + 1;
    this.#lastFrame = frame;
    this.#lastFrameAt = now;
    return gap;
  }

  /** So many wrong bits of a frame were put right; the sender is told, since it chooses the size of frames by that. */
  noteRepaired(bits: number): void {
    this.#repairedBits += bits;
  }

  handleFloor(floor: number): void {
    if (floor <= this.#floor) return;
    this.#floor = floor;
    for (const [handle, { parcel }] of this.#announced) {
      if (handle >= floor) continue;
      this.#announced.delete(handle);
      this.#settled.delete(parcel);
    }
  }

  /** Throws `bad-message` for a handle far above the floor. */
  handleAnnounce(handle: number, floor: number, parcel: ParcelId): void {
    this.handleFloor(floor);
    if (handle < this.#floor || this.#announced.has(handle)) return;
    if (handle >= this.#floor + MAX_HANDLE_SPAN) throw badContent('too many parcels announced');
    // Queued anew under another handle: the older one has no meaning any more.
    for (const [older, announced] of this.#announced) {
      if (announced.parcel === parcel) this.#announced.delete(older);
    }
    this.#announced.set(handle, { parcel, offered: false });
  }

  /** Throws `bad-message` for a segment that reaches beyond its parcel. */
  handleSegment(frame: number, handle: number, offset: number, bytes: Uint8Array): void {
    const announced = this.#announced.get(handle);
    if (announced === undefined || bytes.length === 0) return;
    const id = announced.parcel;
    if (this.#settled.has(id)) return;
    this.#dropDealtWith();
    const wanted = this.#wanted.get(id);
    const pending: Pending = {
      frame,
      parcel: id,
      wanted,
      start: offset,
      end: offset + bytes.length,
      early: wanted === undefined ? bytes : undefined,
    };
    if (wanted === undefined) {
      if (!announced.offered) {
        announced.offered = true;
        this.#emit({ kind: 'parcel-offered', parcel: id });
      }
      if (this.#earlyBytes + bytes.length > MAX_EARLY_BYTES || this.#isFull(bytes.length)) return;
      this.#earlyBytes += bytes.length;
      this.#push(pending);
      return;
    }
    if (offset + bytes.length > wanted.length) throw badContent('segment beyond the end of its parcel');
    this.#accept(pending, wanted, bytes);
  }

  /**
   * What a damaged frame seems to have carried; nothing vouches for it, so it is only kept for a recall. Is it worth
   * telling the sender of it.
   */
  handleDamaged(damaged: DamagedSegment): boolean {
    const { frame, handle, offset, bytes } = damaged;
    const id = this.#announced.get(handle)?.parcel;
    const wanted = id === undefined ? undefined : this.#wanted.get(id);
    if (id === undefined || wanted === undefined || offset >= wanted.length) return false;
    const parts = [{ start: offset, bytes }, ...endingOf(damaged, wanted)];
    let worthIt = false;
    for (const part of parts) {
      const within = part.bytes.subarray(0, Math.max(0, wanted.length - part.start));
      if (wanted.arrived.covers(part.start, part.start + within.length)) continue;
      if (this.scraps.add(frame, id, part.start, within)) worthIt = true;
    }
    return worthIt;
  }

  /** A sealed frame says which blocks of a scrap are right: these have come with it. */
  handleRecall(frame: number, piece: Piece & { readonly kind: 'recall' }): void {
    const id = this.#announced.get(piece.handle)?.parcel;
    const wanted = id === undefined ? undefined : this.#wanted.get(id);
    if (id === undefined || wanted === undefined) return;
    this.#dropDealtWith();
    for (const { offset, bytes } of this.scraps.recall(id, piece)) {
      const start = offset;
      const end = Math.min(offset + bytes.length, wanted.length);
      const pending = { frame, parcel: id, wanted, start, end, early: undefined };
      if (end > start) this.#accept(pending, wanted, bytes.subarray(0, end - start));
    }
  }

  #accept(pending: Pending, wanted: Wanted, bytes: Uint8Array): void {
    if (this.#isFull(bytes.length) || this.#wouldScatter(wanted, pending)) return;
    this.#push(pending);
    this.#deliver(pending.parcel, wanted, pending.start, bytes);
  }

  /** What is to be reported now. */
  report(now: Millis): Report {
    this.#dropDealtWith();
    this.#keptBytes = 0;
    const first = this.#pending[0];
    let runsLeft = MAX_REPORT_RUNS;
    const parcels: ParcelReport[] = [];
    for (const [handle, { parcel }] of this.#announced) {
      const part = this.#describe(handle, parcel, runsLeft);
      if (part.kind === 'part') runsLeft -= part.runs.length;
      parcels.push(part);
    }
    const seen = this.#lastFrame;
    const delay = Math.max(0, Math.round(now - this.#lastFrameAt));
    const upTo = first === undefined ? seen : first.frame - 1;
    return { upTo, seen, delay, repaired: this.#repairedBits, parcels };
  }

  #describe(handle: number, parcel: ParcelId, limit: number): ParcelReport {
    const settled = this.#settled.get(parcel);
    if (settled !== undefined) return { handle, kind: settled };
    const wanted = this.#wanted.get(parcel);
    if (wanted === undefined) return { handle, kind: 'unknown' };
    if (wanted.held.covers(0, wanted.length)) return { handle, kind: 'whole' };
    return { handle, kind: 'part', ...runsOf(wanted.held.ranges, limit) };
  }

  #deliver(parcel: ParcelId, wanted: Wanted, offset: number, bytes: Uint8Array): void {
    const end = Math.min(offset + bytes.length, wanted.length);
    const fresh = wanted.arrived.gaps(offset, end);
    wanted.arrived.add(offset, end);
    let delivered = 0;
    for (const gap of fresh) {
      delivered += gap.end - gap.start;
      const part = bytes.subarray(gap.start - offset, gap.end - offset);
      this.#emit({ kind: 'segment', parcel, offset: gap.start, bytes: part });
    }
    this.#deliveredBytes += delivered;
    this.#duplicateBytes += end - offset - delivered;
  }

  #push(pending: Pending): void {
    this.#pending.push(pending);
    this.#pendingBytes += pending.end - pending.start;
  }

  #isFull(more: number): boolean {
    return this.#pendingBytes + more > MAX_PENDING_BYTES || this.#pending.length >= MAX_PENDING_SEGMENTS;
  }

  #wouldScatter(wanted: Wanted, { start, end }: Range): boolean {
    return wanted.arrived.ranges.length >= MAX_HELD_RANGES && !wanted.arrived.intersects(start - 1, end + 1);
  }

  #dropDealtWith(): void {
    let count = 0;
    for (const pending of this.#pending) {
      if (!this.#isDealtWith(pending)) break;
      if (pending.early !== undefined) this.#earlyBytes -= pending.early.length;
      this.#pendingBytes -= pending.end - pending.start;
      count++;
    }
    if (count > 0) this.#pending.splice(0, count);
  }

  #isDealtWith({ parcel, wanted, start, end }: Pending): boolean {
    if (this.#settled.has(parcel) || this.#wanted.get(parcel) !== wanted) return true;
    if (wanted === undefined) return !this.#isAnnounced(parcel);
    return wanted.held.covers(start, Math.min(end, wanted.length));
  }

  #isAnnounced(parcel: ParcelId): boolean {
    for (const announced of this.#announced.values()) if (announced.parcel === parcel) return true;
    return false;
  }
}

/** Codes that cannot be told from content make what has come look longer or shorter by so much. */
const CAME_SLACK = 8;

/** What stands behind a loss, from its first block on; nothing where the line has not lost any bytes of the frame. */
function endingOf(
  { offset, bytes, ending }: DamagedSegment,
  { arrived, length }: Wanted,
): { readonly start: number; readonly bytes: Uint8Array }[] {
  if (ending === undefined) return [];
  const missing = arrived.gaps(offset, length)[0]?.end ?? length;
  const end = Math.min(missing, segmentEndAfter(offset + ending.came - CAME_SLACK));
  if (end <= offset) return [];
  const known = ending.bytes(end - offset);
  const start = offset + Math.max(1, blocksIn(end - offset - known.length)) * SCRAP_BLOCK;
  if (start >= end) return [];
  const behind = known.subarray(known.length - (end - start));
  return Buffer.compare(behind, bytes.subarray(start - offset)) === 0 ? [] : [{ start, bytes: behind }];
}
