import { packDelta } from '../../protocol/parcel/delta.js';
import { writeDelta } from '../../protocol/parcel/delta-script.js';
import { estimatedBytes } from './estimate.js';
import { MAX_DELTA_COPIES, MAX_DELTA_PARCELS } from '../../protocol/parcel/delta-layout.js';
import {
  encodeParcel,
  serializeParcel,
  type Compressor,
  type ParcelContent,
} from '../../protocol/parcel/parcel.js';
import type { BlockIndex } from '../../protocol/units.js';
import { contentBlocks, DeltaDraft, DraftGround } from './delta-draft.js';
import type { ParseCosts } from './parse.js';
import type { EarlierParcel, References } from './references.js';
import { similarBlocks } from './similar-blocks.js';

export interface EncodingOptions {
  readonly compressor: Compressor;
  /** `thorough` looks longer for fewer bytes, for lines on which a byte is slow. */
  readonly effort: 'quick' | 'thorough';
}

/** The most content referred to beside the parcel's own blocks, bytes: half of what a delta may name, for memory's sake. */
const MAX_REFERENCES = 32 << 20;
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
  const delta = await likelyDelta(parcel, references, options);
  if (delta === null) return encodeParcel(serialized, compressor);
  const { form, estimate } = delta;
  const plain = estimatedBytes(serialized, false);
  if (estimate < plain * CLEARLY_SHORTER) return packDelta(form, compressor);
  if (plain < estimate * CLEARLY_SHORTER) return encodeParcel(serialized, compressor);
  const both = [packDelta(form, compressor), encodeParcel(serialized, compressor)] as const;
  return both[0].byteLength < both[1].byteLength ? both[0] : both[1];
}

const THOROUGH: ParseCosts = {
  literal: 0.7,
  own: 1.2,
  recent: 1.5,
  anywhere: 6,
  depth: 16,
  patience: Infinity,
};
const QUICK: ParseCosts = { ...THOROUGH, depth: 2, patience: 64 };
/** To see what the parcel's own blocks do not explain. */
const SCOUTING: ParseCosts = { ...THOROUGH, depth: 0, patience: 32 };

/** New bytes in a block from which on the base state is searched for others like it, as a part of the block. */
const SEARCHED_PART = 1 / 32;

/** The stage before brotli, and how long brotli would about make it. */
interface Delta {
  readonly form: Uint8Array;
  readonly estimate: number;
}

/** The delta that is likely the shortest. Null: there is nothing to make, or too much. */
async function likelyDelta(
  parcel: ParcelContent,
  references: References,
  { effort }: EncodingOptions,
): Promise<Delta | null> {
  const { blockSize, content } = parcel;
  const { own } = references;
  if (content.byteLength === 0) return null;
  const earlier = newest(references.earlier, MAX_REFERENCES);
  const costs = effort === 'thorough' ? THOROUGH : QUICK;
  let base: ReadonlyMap<BlockIndex, Uint8Array> = new Map();
  if (references.base !== null && references.finder !== null) {
    const fresh = new DeltaDraft(new DraftGround(parcel, own, base, earlier), SCOUTING).newBytes();
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
      most: Math.floor((MAX_REFERENCES - taken) / blockSize),
    });
  }
  const ground = new DraftGround(parcel, own, base, earlier);
  const first = new DeltaDraft(ground, costs);
  const fresh = first.newBytes();
  const others: ParseCosts[] = [];
  if (effort === 'thorough') {
    for (const cost of content.byteLength <= MAX_TRIED_BYTES ? NEW_LITERALS : NEW_LITERALS.slice(0, 1)) {
      const literals = literalCosts(fresh, blockSize, cost);
      if (literals !== null) others.push({ ...costs, literals });
    }
  }
  const closely = others.length > 0;
  let best = deltaOf(first, closely);
  for (const other of others) best = shorter(best, deltaOf(new DeltaDraft(ground, other), closely));
  return best;
}

/** New bytes in a block from which on it is taken for something new, in which brotli finds short repetitions better. */
const NEW_PART = 1 / 16;
/** What a byte of it then costs: as in text that repeats much, and in other text. */
const NEW_LITERALS = [0.17, 0.3];
/** Longer parcels are not tried with each of these. */
const MAX_TRIED_BYTES = 16 << 20;

/** What a new byte costs in each block, of which so many are new; null: everywhere the same. */
function literalCosts(fresh: Uint32Array, blockSize: number, cost: number): Float32Array | null {
  const isNew = (count: number): boolean => count > blockSize * NEW_PART;
  if (!fresh.some(isNew)) return null;
  return Float32Array.from(fresh, (count) => (isNew(count) ? cost : THOROUGH.literal));
}

/** Null: more copies than a delta may have. */
function deltaOf(draft: DeltaDraft, closely: boolean): Delta | null {
  if (draft.copies > MAX_DELTA_COPIES) return null;
  const form = writeDelta(draft.script());
  return { form, estimate: estimatedBytes(form, closely) };
}

function shorter(one: Delta | null, other: Delta | null): Delta | null {
  if (one === null || other === null) return one ?? other;
  return other.estimate < one.estimate ? other : one;
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
