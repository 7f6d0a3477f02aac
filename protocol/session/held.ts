import { MAX_PARTIAL_PARCELS } from '../messages/limits.js';
import { parcelListDigest } from '../messages/parcel-list.js';
import type { CaptureSummary, KeptCapture } from '../messages/message.js';
import type { ParcelId, StateId } from '../units.js';

/** A target that a set has, or had before it was turned to a newer state, and all parcels that it had then, in order. */
export interface SetTarget {
  readonly to: StateId;
  readonly parcels: readonly ParcelId[];
}

/** What a backup holds of a set's parcels. */
export interface HeldParcels {
  /** So many of the first ones are held whole. */
  readonly whole: number;
  /** `parcelListDigest` of their ids. */
  readonly wholeDigest: Uint8Array;
  /** Of later ones; a part of the set's own. */
  readonly partial: CaptureSummary['partial'];
  /** What the backup is to keep, if it holds it for an earlier target; null: it has it for just this one. */
  readonly keeps: KeptCapture | null;
}

/**
 * What a capture holds of the set `from → target.to`. `earlier`: the targets it had before, of which each kept a number
 * of first parcels. null: the capture is of another set, or of another try at it.
 */
export function heldOf(
  from: StateId | null,
  target: SetTarget,
  earlier: readonly SetTarget[],
  capture: CaptureSummary | null,
): HeldParcels | null {
  if (capture?.from !== from) return null;
  const { to, whole, wholeDigest, partial } = capture;
  const then = to === target.to ? target : earlier.find((each) => each.to === to);
  if (then === undefined || whole > then.parcels.length) return null;
  if (capture.durable && then !== target) return null;
  if (Buffer.compare(parcelListDigest(then.parcels.slice(0, whole)), wholeDigest) !== 0) return null;
  const known = new Set(then.parcels);
  if (partial.some(({ id }) => !known.has(id))) return null;
  if (then === target) return { whole, wholeDigest, partial, keeps: null };
  return keptOf(target, then, capture);
}

/**
 * Of the parcels that an earlier target had, those at the front that the set still has and the backup holds: whole ones,
 * then such of which it holds a part, without a gap, so that their order at the backup stays the set's.
 */
function keptOf(target: SetTarget, then: SetTarget, capture: CaptureSummary): HeldParcels {
  const firstDropped = then.parcels.findIndex((id, index) => target.parcels[index] !== id);
  const kept = firstDropped < 0 ? then.parcels.length : firstDropped;
  const whole = Math.min(kept, capture.whole);
  const partial: { readonly id: ParcelId; readonly held: CaptureSummary['partial'][number]['held'] }[] = [];
  for (let index = whole; index < kept; index++) {
    const part = capture.partial.find(({ id }) => id === then.parcels[index]);
    if (part === undefined || partial.length === MAX_PARTIAL_PARCELS) break;
    partial.push(part);
  }
  const wholeDigest = parcelListDigest(then.parcels.slice(0, whole));
  const keeps: KeptCapture = {
    to: capture.to,
    whole,
    wholeDigest,
    partial: partial.map(({ id }) => id),
  };
  return { whole, wholeDigest, partial, keeps: whole + partial.length === 0 ? null : keeps };
}
