import type { StateInfo } from '../../protocol/state.js';
import type { SpooledSet } from './spool.js';

/** Where a travelling set stands, for people. */
export interface TransferView {
  readonly to: StateInfo;
  readonly phase: 'encoding' | 'sending' | 'committing' | 'applying';
  /** Blocks in the set; null while that is not known. */
  readonly blocks: number | null;
  /** Encoded bytes that the backup holds, and those that exist so far. */
  readonly bytesHeld: number;
  readonly bytesKnown: number;
  /** Of the whole set, encoded or not: 0 … 1. */
  readonly fraction: number;
  /** The state that travels after this one; null: none is known yet. */
  readonly next: StateInfo | null;
  /** How often the set was turned to a newer state. */
  readonly turns: number;
}

/**
 * @param set what is spooled of it; null: nothing yet
 * @param held encoded bytes that the backup holds
 * @param durable the backup has said that it holds all of it
 * @param next the state that travels next
 */
export function viewTransfer(
  to: StateInfo,
  set: SpooledSet | null,
  held: number,
  durable: boolean,
  next: StateInfo | null,
): TransferView {
  const known = set?.parcels.reduce((sum, parcel) => sum + parcel.length, 0) ?? 0;
  const gathered = set?.parcels.reduce((sum, parcel) => sum + parcel.blocks, 0) ?? 0;
  const complete = set !== null && set.digest !== null;
  const encoded = complete ? 1 : set === null || set.blocks === 0 ? 0 : Math.min(1, gathered / set.blocks);
  return {
    to,
    phase: phaseOf(complete, known, held, durable),
    blocks: set?.blocks ?? null,
    bytesHeld: durable ? known : held,
    bytesKnown: known,
    fraction: durable ? 1 : known === 0 ? 0 : encoded * Math.min(1, held / known),
    next,
    turns: set?.earlier.length ?? 0,
  };
}

function phaseOf(complete: boolean, known: number, held: number, durable: boolean): TransferView['phase'] {
  if (durable) return 'applying';
  if (known === 0 && !complete) return 'encoding';
  return complete && held >= known ? 'committing' : 'sending';
}
