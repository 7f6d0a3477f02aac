import type { StateId } from '../../protocol/units.js';
import type { EpochsRecord } from './volume-record.js';

/** The owner that stands for all leases; no pin in a record has this name. */
const LEASES = 'leases:';

/**
 * States that somebody in this process is reading, and that must stay readable meanwhile: pins that end with the process
 * and are not written down. They are the first to be disappointed: what a backup needs comes before them.
 */
export class StateLeases {
  readonly #counts = new Map<StateId, number>();

  /** The states under lease. */
  get states(): readonly StateId[] {
    return [...this.#counts.keys()];
  }

  get isEmpty(): boolean {
    return this.#counts.size === 0;
  }

  /** Takes a lease on a state that can be answered for in this very tick; the result ends it, once. */
  take(state: StateId): () => void {
    this.#counts.set(state, (this.#counts.get(state) ?? 0) + 1);
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      const left = (this.#counts.get(state) ?? 0) - 1;
      if (left > 0) this.#counts.set(state, left);
      else this.#counts.delete(state);
    };
  }

  /** The record as it would be if leases were pins: by it is decided what may be dropped or merged. */
  on(record: EpochsRecord): EpochsRecord {
    if (this.isEmpty) return record;
    const leased = this.states.map((state, index) => ({ owner: `${LEASES}${index}`, state }));
    return { ...record, pins: [...record.pins, ...leased] };
  }
}
