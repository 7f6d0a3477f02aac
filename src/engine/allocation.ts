import type { Range } from '../../protocol/ranges.js';
import type { File } from '../platform/files.js';

/** A stretch of a device as `base:allocation` tells it. */
export interface AllocationExtent {
  readonly length: number;
  readonly hole: boolean;
  readonly zero: boolean;
}

const NONE: Range = { start: 0, end: 0 };

/**
 * Where a device's file has data and where holes. To find where data end can cost as much as they are long (a file system
 * in memory looks at each page), and clients ask piece by piece: the stretch that was found last is remembered.
 *
 * Holes that were made in it meanwhile are then told as data, which is always right to say; never the other way round.
 */
export class Allocation {
  #data = NONE;
  /** Holes made so far: what was asked before the last of them is not remembered. */
  #holesMade = 0;

  constructor(readonly device: Pick<File, 'nextData'>) {}

  /** Extents that cover at least a first part of `range`, at most `limit` of them. At once where it is all known. */
  extents(range: Range, limit: number): AllocationExtent[] | Promise<AllocationExtent[]> {
    const { start, end } = this.#data;
    if (range.start < start || range.end > end) return this.#ask(range, limit);
    return [{ length: range.end - range.start, hole: false, zero: false }];
  }

  /** There may be holes now where there were data. */
  holesMade(): void {
    this.#holesMade++;
    this.#data = NONE;
  }

  async #ask(range: Range, limit: number): Promise<AllocationExtent[]> {
    const extents: AllocationExtent[] = [];
    for (let at = range.start; at < range.end && extents.length < limit;) {
      const before = this.#holesMade;
      const data = await this.device.nextData(at);
      if (data !== null && before === this.#holesMade) this.#data = data;
      const start = Math.min(data?.start ?? range.end, range.end);
      if (start > at) extents.push({ length: start - at, hole: true, zero: true });
      const end = Math.min(data?.end ?? start, range.end);
      if (end > start && extents.length < limit)
        extents.push({ length: end - start, hole: false, zero: false });
      at = Math.max(start, end);
    }
    return extents;
  }
}
