import { packDelta } from '../../protocol/parcel/delta.js';
import { writeDelta, type DeltaScript } from '../../protocol/parcel/delta-script.js';
import { estimatedBytes } from './estimate.js';
import {
  MAX_DELTA_COPIES,
  MAX_DELTA_PARCELS,
  MAX_DELTA_REFERENCES,
} from '../../protocol/parcel/delta-layout.js';
import {
  encodeParcel,
  serializeParcel,
  type Compressor,
  type ParcelContent,
} from '../../protocol/parcel/parcel.js';
import type { BlockIndex } from '../../protocol/units.js';
import { contentBlocks, DeltaDraft } from './delta-draft.js';
import type { ParseCosts } from './parse.js';
import type { EarlierParcel, References } from './references.js';
import { similarBlocks } from './similar-blocks.js';

export interface EncodingOptions {
  readonly compressor: Compressor;
  /** `thorough` looks longer for fewer bytes, for lines on which a byte is slow. */
  readonly effort: 'quick' | 'thorough';
}

/** By estimates that far apart only the shorter form is tried in earnest. */
const CLEARLY_SHORTER = 0.7;

/** The smallest of delta, plain brotli and raw. */
export async function encodeWithReferences(
  parcel: ParcelContent,
  references: References,
  options: EncodingOptions,
): Promise<Uint8Array> {
  const { compressor } = options;
  const serialized = serializeParcel(parcel);
  const script = await deltaScript(parcel, references, options);
  if (script === null) return encodeParcel(serialized, compressor);
  const form = writeDelta(script);
  const [delta, plain] = [estimatedBytes(form), estimatedBytes(serialized)];
  if (delta < plain * CLEARLY_SHORTER) return packDelta(form, compressor);
  if (plain < delta * CLEARLY_SHORTER) return encodeParcel(serialized, compressor);
  const both = [packDelta(form, compressor), encodeParcel(serialized, compressor)] as const;
  return both[0].byteLength < both[1].byteLength ? both[0] : both[1];
}

const THOROUGH: ParseCosts = {
  literal: 0.7,
  own: 1.6,
  recent: 2,
  anywhere: 5,
  depth: 16,
  patience: Infinity,
};
const QUICK: ParseCosts = { ...THOROUGH, depth: 2, patience: 64 };
/** To see what the parcel's own blocks do not explain. */
const SCOUTING: ParseCosts = { ...THOROUGH, depth: 0, patience: 32 };

/** New bytes in a block from which on the base state is searched for others like it, as a part of the block. */
const SEARCHED_PART = 1 / 32;

/** Null: there is nothing to refer to, or too much. */
async function deltaScript(
  parcel: ParcelContent,
  references: References,
  { effort }: EncodingOptions,
): Promise<DeltaScript | null> {
  const { blockSize, content } = parcel;
  const { own } = references;
  if (content.byteLength === 0) return null;
  const earlier = newest(references.earlier, MAX_DELTA_REFERENCES);
  const costs = effort === 'thorough' ? THOROUGH : QUICK;
  let base: ReadonlyMap<BlockIndex, Uint8Array> = new Map();
  if (references.base !== null && references.finder !== null) {
    const draft = DeltaDraft.make(parcel, own, base, earlier, SCOUTING);
    const fresh = draft.newBytes();
    const blocks = contentBlocks(parcel.runs);
    const known = new Set<BlockIndex>(blocks.filter((_, place) => own?.present[place] === 1));
    const taken = earlier.reduce((sum, { parcel: from }) => sum + from.content.byteLength, 0);
    base = await similarBlocks({
      blocks,
      content,
      blockSize,
      wanted: (place) => (fresh[place] as number) > blockSize * SEARCHED_PART,
      known,
      finder: references.finder,
      base: references.base,
      most: Math.floor((MAX_DELTA_REFERENCES - taken) / blockSize),
    });
  }
  const draft = DeltaDraft.make(parcel, own, base, earlier, costs);
  if (draft.copies > MAX_DELTA_COPIES) return null;
  return draft.script();
}

/** The newest parcels whose content fits. */
function newest(earlier: readonly EarlierParcel[], bytes: number): readonly EarlierParcel[] {
  let room = bytes;
  let first = earlier.length;
  while (first > 0 && earlier.length - first < MAX_DELTA_PARCELS) {
    room -= earlier[first - 1]?.parcel.content.byteLength ?? 0;
    if (room < 0) break;
    first--;
  }
  return earlier.slice(first);
}
