import type { ParcelContent } from '../../protocol/parcel/parcel.js';
import type { BlockIndex, ParcelId } from '../../protocol/units.js';

/** The base content of a parcel's own blocks. */
export interface OwnBlocks {
  /** As long as the parcel's content and in the same order; what is not `present` may hold anything. */
  readonly content: Uint8Array;
  /** For each block of the parcel's content: 1 if it is surely what the other side holds, else 0. */
  readonly present: Uint8Array;
}

/** Reads blocks of the base state, from another thread or over a file. */
export interface BaseReader {
  /**
   * Content of each of these blocks in the base state (ascending, no more than a few hundred at once); null where it is
   * not surely what the other side holds. Fails only when reading is over for good.
   */
  read(blocks: readonly BlockIndex[]): Promise<readonly (Uint8Array | null)[]>;
}

/** Where in the base state content like a given one may lie: a hint, which may be wrong or missing. */
export interface BlockFinder {
  /** At most a handful of blocks for one block's content, the likeliest first. */
  find(content: Uint8Array): readonly BlockIndex[];
}

/** A parcel of the same set that travels, or has travelled, before this one. */
export interface EarlierParcel {
  readonly id: ParcelId;
  readonly parcel: ParcelContent;
}

/** What surely lies at the other side when a parcel is decoded there. */
export interface References {
  /** Null: the set has no base state, or nothing is known of its content there. */
  readonly own: OwnBlocks | null;
  /** Null: only own blocks. */
  readonly base: BaseReader | null;
  /** Null: own blocks and those of earlier parcels only. */
  readonly finder: BlockFinder | null;
  /** Oldest first; the encoder uses as much as its bounds allow, newest first. */
  readonly earlier: readonly EarlierParcel[];
}

export const NO_REFERENCES: References = { own: null, base: null, finder: null, earlier: [] };
