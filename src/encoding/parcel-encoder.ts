import { packDelta } from '../../protocol/parcel/delta.js';
import { writeDelta, type DeltaScript } from '../../protocol/parcel/delta-script.js';
import { deltaForm, measured, plainForm, type MeasuredParcel } from './address-share.js';
import { estimatedBytes } from './estimate.js';
import { MAX_DELTA_COPIES } from '../../protocol/parcel/delta-layout.js';
import {
  encodeParcel,
  serializeParcel,
  type Compressor,
  type ParcelContent,
} from '../../protocol/parcel/parcel.js';
import { DeltaDraft, DraftGround } from './delta-draft.js';
import type { ParseCosts } from './parse.js';
import { QUICK, THOROUGH } from './parse-costs.js';
import { chooseReferences } from './reference-choice.js';
import type { References } from './references.js';

export interface EncodingOptions {
  readonly compressor: Compressor;
  /** `thorough` looks longer for fewer bytes, for lines on which a byte is slow. */
  readonly effort: 'quick' | 'thorough';
}

/** By estimates that far apart only the shorter form is tried in earnest. */
const CLEARLY_SHORTER = 0.7;

/** The smallest of delta, plain brotli and raw, and what of it are addresses. */
export async function encodeWithReferences(
  parcel: ParcelContent,
  references: References,
  options: EncodingOptions,
): Promise<MeasuredParcel> {
  const { compressor } = options;
  const serialized = serializeParcel(parcel);
  const asPlain = (): MeasuredParcel =>
    measured(encodeParcel(serialized, compressor), plainForm(serialized, parcel), compressor);
  const asDelta = (form: Uint8Array): MeasuredParcel =>
    measured(packDelta(form, compressor), deltaForm(form), compressor);
  const delta = await likelyDelta(parcel, references, options);
  if (delta === null) return asPlain();
  let plain = { estimate: estimatedBytes(serialized, false), encode: asPlain };
  const withoutCopies = writeDelta(newOnly(parcel), 'separate');
  if (withoutCopies !== null) {
    const estimate = estimatedBytes(withoutCopies, false);
    if (estimate < plain.estimate) plain = { estimate, encode: () => asDelta(withoutCopies) };
  }
  if (delta.estimate < plain.estimate * CLEARLY_SHORTER) return asDelta(delta.form);
  if (plain.estimate < delta.estimate * CLEARLY_SHORTER) return plain.encode();
  const both = [asDelta(delta.form), plain.encode()] as const;
  return both[0].encoded.byteLength < both[1].encoded.byteLength ? both[0] : both[1];
}

const NONE = new Uint32Array();
/** A delta of nothing but new bytes. */
const newOnly = (parcel: ParcelContent): DeltaScript => ({
  ...parcel,
  base: [],
  parcels: [],
  literals: NONE,
  lengths: NONE,
  sources: NONE,
  byteBefore: () => 0,
});

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
  if (content.byteLength === 0) return null;
  const costs = effort === 'thorough' ? THOROUGH : QUICK;
  const chosen = await chooseReferences(parcel, references);
  const ground = new DraftGround(parcel, references.own, chosen);
  const draft = new DeltaDraft(ground, costs);
  if (effort === 'quick') return deltaOf(draft, false);
  let best = deltaOf(draft, true);
  let bestCosts = costs;
  const tryAlso = (other: ParseCosts): void => {
    const delta = deltaOf(new DeltaDraft(ground, other), true);
    if (shorter(best, delta) === best) return;
    best = delta;
    bestCosts = other;
  };
  const fresh = draft.newBytes();
  for (const cost of content.byteLength <= MAX_TRIED_BYTES ? NEW_LITERALS : NEW_LITERALS.slice(0, 1)) {
    const literals = literalCosts(fresh, blockSize, cost);
    if (literals !== null) tryAlso({ ...costs, literals });
  }
  tryAlso({ ...bestCosts, anywhere: DEAR_COPY });
  return best;
}

/** A copy from anywhere costs this where such copies are few, and so not told in a few bits. */
const DEAR_COPY = 8;
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
  const script = draft.script();
  const form = writeDelta(script);
  const plain = { form, estimate: estimatedBytes(form, closely) };
  const apart = writeDelta(script, 'separate');
  return apart === null ? plain : shorter(plain, { form: apart, estimate: estimatedBytes(apart, closely) });
}

function shorter(one: Delta | null, other: Delta | null): Delta | null {
  if (one === null || other === null) return one ?? other;
  return other.estimate < one.estimate ? other : one;
}
