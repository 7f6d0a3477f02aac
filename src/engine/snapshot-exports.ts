import type { StateId } from '../../protocol/units.js';
import type { File } from '../platform/files.js';
import { heldBy } from './epoch-list.js';
import type { History } from './history.js';
import { SnapshotExport } from './snapshot-export.js';
import type { Unconfirmed } from './unconfirmed.js';

/** The states of a volume that can be served: pinned ones, and what a client has open. The same object for the same state. */
export class SnapshotExports {
  #made: ReadonlyMap<StateId, SnapshotExport> = new Map();

  constructor(
    readonly volume: string,
    readonly device: File,
    readonly history: History,
    readonly unconfirmed: Unconfirmed,
    /** A client has let one go. */
    readonly onReleased: () => void,
  ) {}

  /** Oldest first; as of now. */
  list(): readonly SnapshotExport[] {
    const { record, leases } = this.history;
    const held = new Set([...record.pins.map((pin) => heldBy(record, pin)), ...leases.states]);
    const exports = record.epochs.flatMap(({ start }) => {
      if (start === null || !held.has(start.id)) return [];
      const { volume, device, history, unconfirmed, onReleased } = this;
      return (
        this.#made.get(start.id) ??
        new SnapshotExport(volume, start, device, history, unconfirmed, onReleased)
      );
    });
    this.#made = new Map(exports.map((one) => [one.state.id, one]));
    return exports;
  }
}
