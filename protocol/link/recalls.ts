import type { Crc32 } from '../framing/frame.js';
import type { Range } from '../ranges.js';
import { MAX_RECALL_RUNS } from './limits.js';
import type { OutgoingParcel } from './outgoing-parcel.js';
import type { Piece } from './pieces.js';
import { blockAt, blockRuns, checkOf, rangesOfRuns, recallDigest, SCRAP_BLOCK } from './scrap-blocks.js';

type ScrapPiece = Piece & { readonly kind: 'scrap' };
type RecallPiece = Piece & { readonly kind: 'recall' };

/** What the receiver may take out of a scrap. */
export interface Recall {
  readonly parcel: OutgoingParcel;
  readonly offset: number;
  readonly runs: readonly number[];
  /** The parcel's bytes that they are. */
  readonly ranges: readonly Range[];
  /** It was lost once with its frame, and is not sent a third time. */
  readonly again: boolean;
}

/** Which blocks of a scrap are, by their checksums, as the parcel has them. */
export function wholeBlocks(
  { offset, length, checks }: ScrapPiece,
  parcel: OutgoingParcel,
  crc32: Crc32,
): boolean[] {
  const meant = parcel.bytes.subarray(offset, offset + length);
  return checks.map((check, index) => {
    const block = blockAt(meant, index);
    return block.length > 0 && checkOf(block, crc32) === check;
  });
}

/** The recall of those of the whole blocks that are still to be sent; undefined when there are none. */
export function recallOf(
  { offset, length }: ScrapPiece,
  parcel: OutgoingParcel,
  whole: readonly boolean[],
): Recall | undefined {
  const end = Math.min(offset + length, parcel.bytes.length);
  const wanted = whole.map((each, index) => {
    const start = offset + index * SCRAP_BLOCK;
    return each && parcel.toSend.covers(start, Math.min(start + SCRAP_BLOCK, end));
  });
  const runs = blockRuns(wanted, MAX_RECALL_RUNS);
  const ranges = rangesOfRuns(runs, end - offset).map((range) => ({
    start: offset + range.start,
    end: offset + range.end,
  }));
  return ranges.length === 0 ? undefined : { parcel, offset, runs, ranges, again: false };
}

/** With the digest that vouches for the blocks. */
export const recallPiece = ({ parcel, offset, runs, ranges }: Recall): RecallPiece => ({
  kind: 'recall',
  handle: parcel.handle,
  offset,
  runs,
  digest: recallDigest(ranges.map(({ start, end }) => parcel.bytes.subarray(start, end))),
});
