import type { BlockIndex, ParcelId } from '../units.js';
import type { ParcelRun } from './parcel.js';

/** Blocks that follow each other in a volume. */
export interface BlockSpan {
  readonly start: BlockIndex;
  readonly count: number;
}

/** Blocks of an earlier parcel of the same set, as that parcel decodes to. */
export interface ParcelBlocks {
  readonly id: ParcelId;
  /** Ascending, disjoint; none of them zero in that parcel. */
  readonly spans: readonly BlockSpan[];
}

/** What a delta may copy from, in the order of its address space. */
export interface DeltaSources {
  readonly blockSize: number;
  /** As in the parcel. */
  readonly runs: readonly ParcelRun[];
  /** Blocks of the base state beside the parcel's own; ascending, disjoint. */
  readonly base: readonly BlockSpan[];
  readonly parcels: readonly ParcelBlocks[];
}

/**
 * The address space of a delta's copies, in bytes: first the base content of the parcel's own blocks (those with
 * content, in order, so that the byte at `n` of the output has its counterpart at `n`), then the other base blocks,
 * then those of earlier parcels, then the output itself as far as it is made.
 */
export interface DeltaSpace {
  /** Bytes of output, and of the own blocks' base content. */
  readonly own: number;
  /** Where the blocks of earlier parcels begin; the other base blocks begin at `own`. */
  readonly parcels: number;
  /** Where the output begins. */
  readonly output: number;
}

export const countBlocks = (spans: readonly BlockSpan[]): number =>
  spans.reduce((sum, { count }) => sum + count, 0);

export function spaceOf({ blockSize, runs, base, parcels }: DeltaSources): DeltaSpace {
  const own = countBlocks(runs.filter(({ zero }) => !zero)) * blockSize;
  const firstParcel = own + countBlocks(base) * blockSize;
  const ofParcels = parcels.reduce((sum, { spans }) => sum + countBlocks(spans), 0) * blockSize;
  return { own, parcels: firstParcel, output: firstParcel + ofParcels };
}

/** The most blocks, in bytes, that a delta names beside its own: what a decoder reads and holds for it. */
export const MAX_DELTA_REFERENCES = 64 << 20;
/** The most copies in a delta. */
export const MAX_DELTA_COPIES = 1 << 21;
/** The most earlier parcels a delta names. */
export const MAX_DELTA_PARCELS = 256;
/** The most spans of blocks a delta names beside its own. */
export const MAX_DELTA_SPANS = 1 << 17;
