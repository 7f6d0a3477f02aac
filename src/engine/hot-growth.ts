import type { Range } from '../../protocol/ranges.js';

/**
 * The units of an entry, by how much of the log is used when it is made, so that the log never gets full. The last step
 * is the whole device.
 */
const BY_USE: readonly { readonly used: number; readonly units: number }[] = [
  { used: 1 / 2, units: 1 },
  { used: 5 / 8, units: 16 },
  { used: 3 / 4, units: 256 },
  { used: 7 / 8, units: 1 << 14 },
];

/** So many cold writes since the last cooling within so many units, aligned, and all of these become hot at the next. */
const BY_MISSES: readonly { readonly units: number; readonly misses: number }[] = [
  { units: 16, misses: 4 },
  { units: 256, misses: 16 },
  { units: 4096, misses: 32 },
  { units: Infinity, misses: 64 },
];

/**
 * How much becomes hot for a write to what is cold. A write there has to wait, so a place where many do is made hot as a
 * whole, the larger the more there were, and a writer that goes on where an entry ends gets twice as much as that entry
 * was: a copy of n units waits log2(n) times, and random writes over any device 64 times or so. What becomes hot too
 * much is in doubt after a power cut until the next cooling narrows it.
 */
export class HotGrowth {
  /** First units of the cold writes since the last cooling. */
  #misses: number[] = [];

  constructor(
    readonly units: number,
    readonly slots: number,
  ) {}

  /**
   * What is to become hot for a cold write to these units: they, and more.
   *
   * @param used entries in the log
   * @param before the entry that ends where the write begins, if there is one
   */
  extent(wanted: Range, used: number, before: Range | null): Range {
    const { start, end } = aligned(wanted, Math.max(this.stepAt(used), this.#stepOf(wanted)), this.units);
    this.#misses.push(wanted.start);
    const ahead = before === null ? 0 : wanted.start + 2 * (before.end - before.start);
    return { start, end: Math.min(this.units, Math.max(end, ahead)) };
  }

  /** Ascending ranges of units as the entries that go with how many there are. */
  cut(ranges: readonly Range[], used: number): Range[] {
    const pieces: Range[] = [];
    for (const { start, end } of ranges) {
      const from = Math.max(start, pieces.at(-1)?.end ?? 0);
      if (end <= from) continue;
      pieces.push(aligned({ start: from, end }, this.stepAt(used + pieces.length), this.units));
    }
    return pieces;
  }

  /** What was written is synced: how often writes had to wait is counted anew. */
  cooled(): void {
    this.#misses = [];
  }

  /** Units of an entry that is made when so many entries are in use. */
  stepAt(used: number): number {
    return BY_USE.find((growth) => used + 1 < growth.used * this.slots)?.units ?? this.units;
  }

  #stepOf({ start, end }: Range): number {
    const reached = BY_MISSES.findLast(({ units, misses }) => {
      const around = aligned({ start, end }, units, this.units);
      return this.#misses.filter((unit) => unit >= around.start && unit < around.end).length >= misses;
    });
    return reached?.units ?? 1;
  }
}

function aligned({ start, end }: Range, step: number, limit: number): Range {
  if (step >= limit) return { start: 0, end: limit };
  return { start: start - (start % step), end: Math.min(limit, Math.ceil(end / step) * step) };
}
