import type { Range } from '../../protocol/ranges.js';
import type { ChangeMap } from './change-map.js';
import { comparedOf, epochFrom, heldBy } from './epoch-list.js';
import type { History } from './history.js';
import { backupOfOwner, baseOwner } from './pin-owner.js';
import { ChangedBlocks } from './set-candidates.js';

/** A stretch of a volume, `length` bytes long. */
export interface ChangeExtent {
  readonly length: number;
  readonly changed: boolean;
}

/**
 * The blocks in which a volume, or one of its states, may differ from what its backups hold durably: the union over the
 * backups. Everything counts as changed where one of them holds nothing yet, a map is lost or changes are in doubt.
 */
export class Unconfirmed {
  constructor(
    readonly history: History,
    /** By owner of a pin: the ordinal from which states are in doubt as the end of a set from there. */
    readonly distrusted: () => Readonly<Record<string, number>>,
  ) {}

  /**
   * Extents of `range`, in bytes, from its start on, at most `limit`; neighbours may be of one kind.
   *
   * @param until the state that is meant, by its ordinal and the number of the epoch that it begins; null: now
   */
  extents(
    range: Range,
    limit: number,
    until: { readonly ordinal: number; readonly epoch: number } | null,
  ): ChangeExtent[] {
    const maps = this.#maps(until);
    if (maps === null) return [{ length: range.end - range.start, changed: true }];
    const { blockSize } = this.history.surroundings;
    const changes = new ChangedBlocks(maps);
    const end = Math.ceil(range.end / blockSize);
    const extents: ChangeExtent[] = [];
    const add = (from: number, to: number, changed: boolean): void => {
      const start = Math.max(range.start, from * blockSize);
      const stop = Math.min(range.end, to * blockSize);
      if (stop > start && extents.length < limit) extents.push({ length: stop - start, changed });
    };
    for (let at = Math.floor(range.start / blockSize); at < end && extents.length < limit;) {
      const run = changes.nextNow(at, end) ?? { start: end, end };
      add(at, run.start, false);
      add(run.start, run.end, true);
      at = run.end;
    }
    return extents;
  }

  #maps(until: { readonly ordinal: number; readonly epoch: number } | null): ChangeMap[] | null {
    const { record } = this.history;
    const backups = new Set(record.pins.flatMap(({ owner }) => backupOfOwner(owner) ?? []));
    if (backups.size === 0) return null;
    const distrusted = this.distrusted();
    const maps = new Set<ChangeMap>();
    for (const backup of backups) {
      const owner = baseOwner(backup);
      const pin = record.pins.find((candidate) => candidate.owner === owner);
      if (pin === undefined) return null;
      const doubtedFrom = distrusted[owner];
      if (doubtedFrom !== undefined && (until === null || until.ordinal >= doubtedFrom)) return null;
      const from = epochFrom(record, heldBy(record, pin)).number;
      for (const epoch of this.history.between(from, until?.epoch ?? Infinity)) maps.add(epoch.map);
      const compared = comparedOf(record, owner, pin.state);
      if (compared !== null) maps.add(this.history.compared(compared.number));
    }
    return [...maps].some((map) => map.all) ? null : [...maps];
  }
}
