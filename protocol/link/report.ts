import type { Range } from '../ranges.js';
import { MAX_HANDLE_SPAN, MAX_REPORT_RUNS } from './limits.js';
import { badContent, type WireReader, type WireWriter } from './wire.js';

/**
 * What a receiver tells the sender of parcels. Of every announced parcel it says what is held; what it says nothing of
 * and that was sent in a frame up to `upTo` is lost.
 */
export interface Report {
  /** Every data frame up to this number has been stored or thrown away; -1: none. */
  readonly upTo: number;
  /** The last frame that came, at least `upTo`: what is between is being stored. */
  readonly seen: number;
  /** Ms from the arrival of frame `seen` to the making of this report. */
  readonly delay: number;
  /** Wrong bits put right in this session. */
  readonly repaired: number;
  readonly parcels: readonly ParcelReport[];
}

export type ParcelReport =
  /** The sender shall stop. */
  | { readonly handle: number; readonly kind: 'refused' }
  | { readonly handle: number; readonly kind: 'whole' }
  /** Announced, and not expected yet: nothing is said of what is held. */
  | { readonly handle: number; readonly kind: 'unknown' }
  /**
   * Lengths of runs that are held, missing, held, … in turn from offset 0. Behind the last run nothing is held when
   * `complete`; otherwise the report says nothing of it.
   */
  | {
      readonly handle: number;
      readonly kind: 'part';
      readonly runs: readonly number[];
      readonly complete: boolean;
    };

const REFUSED = 0;
const WHOLE = 1;
const UNKNOWN = 2;
const PART = 3;

/** The runs that describe `held`, at most `limit` of them. */
export function runsOf(
  held: readonly Range[],
  limit: number,
): { readonly runs: number[]; readonly complete: boolean } {
  const runs: number[] = [];
  let at = 0;
  for (const { start, end } of held) {
    const separate = start > 0 || runs.length > 0;
    if (runs.length + 2 > limit) return { runs, complete: false };
    if (separate && runs.length === 0) runs.push(0);
    if (separate) runs.push(start - at);
    runs.push(end - start);
    at = end;
  }
  return { runs, complete: true };
}

/** The held and the missing ranges that a part report names; missing ranges behind the last run reach to `length`. */
export function rangesOf(
  report: ParcelReport & { readonly kind: 'part' },
  length: number,
): { readonly held: Range[]; readonly missing: Range[] } {
  const held: Range[] = [];
  const missing: Range[] = [];
  let at = 0;
  report.runs.forEach((run, index) => {
    const range = { start: at, end: Math.min(at + run, length) };
    if (run > 0) (index % 2 === 0 ? held : missing).push(range);
    at = range.end;
  });
  if (report.complete && at < length) missing.push({ start: at, end: length });
  return { held, missing };
}

export function writeReport(writer: WireWriter, report: Report): void {
  writer.varint(report.upTo + 1);
  writer.varint(report.seen - report.upTo);
  writer.varint(report.delay);
  writer.varint(report.repaired);
  writer.varint(report.parcels.length);
  for (const parcel of report.parcels) {
    writer.varint(parcel.handle);
    switch (parcel.kind) {
      case 'refused':
        writer.varint(REFUSED);
        break;
      case 'whole':
        writer.varint(WHOLE);
        break;
      case 'unknown':
        writer.varint(UNKNOWN);
        break;
      case 'part':
        writer.varint(PART + parcel.runs.length * 2 + (parcel.complete ? 1 : 0));
        for (const run of parcel.runs) writer.varint(run);
        break;
      default:
        parcel satisfies never;
    }
  }
}

export function readReport(reader: WireReader): Report {
  const upTo = reader.varint() - 1;
  const seen = upTo + reader.varint();
  const delay = reader.varint();
  const repaired = reader.varint();
  const count = reader.varint();
  if (count > MAX_HANDLE_SPAN) throw badContent(`report on ${count} parcels`);
  const parcels: ParcelReport[] = [];
  for (let i = 0; i < count; i++) parcels.push(readParcel(reader));
  return { upTo, seen, delay, repaired, parcels };
}

function readParcel(reader: WireReader): ParcelReport {
  const handle = reader.varint();
  const form = reader.varint();
  if (form === REFUSED) return { handle, kind: 'refused' };
  if (form === WHOLE) return { handle, kind: 'whole' };
  if (form === UNKNOWN) return { handle, kind: 'unknown' };
  const count = Math.floor((form - PART) / 2);
  if (count > MAX_REPORT_RUNS) throw badContent(`report of ${count} runs`);
  const runs: number[] = [];
  for (let i = 0; i < count; i++) runs.push(reader.varint());
  return { handle, kind: 'part', runs, complete: (form - PART) % 2 === 1 };
}
