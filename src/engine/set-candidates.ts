import type { Range } from '../../protocol/ranges.js';
import type { File } from '../platform/files.js';
import type { ChangeMap } from './change-map.js';

/**
 * Which blocks of a set have to be looked at, ascending. Of the rest it is known that they are not in the set, or,
 * in a whole-volume walk, that they were zeros.
 */
export interface Candidates {
  /** The next run at or after `from`, below `limit`; null if there is none. */
  next(from: number, limit: number): Promise<Range | null>;
}

/** The blocks changed in any of some epochs. */
export class ChangedBlocks implements Candidates {
  constructor(readonly maps: readonly ChangeMap[]) {}

  next(from: number, limit: number): Promise<Range | null> {
    return Promise.resolve(this.nextNow(from, limit));
  }

  nextNow(from: number, limit: number): Range | null {
    const start = this.maps.reduce((first, map) => Math.min(first, map.nextChanged(from, limit)), limit);
    if (start >= limit) return null;
    const end = this.maps.reduce(
      (last, map) => (map.has(start) ? Math.max(last, map.nextUnchanged(start, limit)) : last),
      start,
    );
    return { start, end };
  }
}

/**
 * The blocks that were perhaps not zeros at a state: those where the device has data now, and those changed in the
 * epochs since. Holes are decided first and the maps looked at afterwards, so that a block which becomes a hole in
 * between is found by its mark.
 */
export class WrittenBlocks implements Candidates {
  #data: Range | null = null;
  #isLast = false;

  constructor(
    readonly device: File,
    readonly blockSize: number,
    /** Maps of the epochs since the state, as they are now. */
    readonly mapsSince: () => readonly ChangeMap[],
  ) {}

  async next(from: number, limit: number): Promise<Range | null> {
    while (!this.#isLast && (this.#data === null || this.#data.end <= from)) {
      const data = await this.device.nextData(from * this.blockSize);
      this.#isLast = data === null;
      this.#data = data && {
        start: Math.max(from, Math.floor(data.start / this.blockSize)),
        end: Math.ceil(data.end / this.blockSize),
      };
    }
    const changed = new ChangedBlocks(this.mapsSince()).nextNow(from, limit);
    const data = this.#data;
    if (data === null || data.start >= limit || (changed !== null && changed.end <= data.start))
      return changed;
    if (changed === null || data.end < changed.start) {
      return { start: Math.max(from, data.start), end: Math.min(data.end, limit) };
    }
    const start = Math.min(Math.max(from, data.start), changed.start);
    return { start, end: Math.min(Math.max(data.end, changed.end), limit) };
  }
}
