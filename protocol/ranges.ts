/** A half-open range `start … end-1` of non-negative safe integers; bytes or blocks, as the holder says. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/**
 * A set of non-negative integers kept as sorted, disjoint, non-adjacent ranges.
 * Cost of one change: O(log n + ranges touched).
 */
export class RangeSet {
  readonly #ranges: Range[] = [];

  constructor(ranges: Iterable<Range> = []) {
    for (const { start, end } of ranges) this.add(start, end);
  }

  /** The ranges in ascending order; a view, not to be kept over a change. */
  get ranges(): readonly Range[] {
    return this.#ranges;
  }

  /** How many integers are in the set. */
  get size(): number {
    return this.#ranges.reduce((sum, range) => sum + range.end - range.start, 0);
  }

  get isEmpty(): boolean {
    return this.#ranges.length === 0;
  }

  add(start: number, end: number): void {
    if (end <= start) return;
    const first = this.#firstEndingAtOrAfter(start);
    let last = first;
    let merged = { start, end };
    for (
      let range = this.#ranges[last];
      range !== undefined && range.start <= end;
      range = this.#ranges[last]
    ) {
      merged = { start: Math.min(merged.start, range.start), end: Math.max(merged.end, range.end) };
      last++;
    }
    this.#ranges.splice(first, last - first, merged);
  }

  remove(start: number, end: number): void {
    if (end <= start) return;
    const first = this.#firstEndingAtOrAfter(start + 1);
    let last = first;
    const kept: Range[] = [];
    for (
      let range = this.#ranges[last];
      range !== undefined && range.start < end;
      range = this.#ranges[last]
    ) {
      if (range.start < start) kept.push({ start: range.start, end: start });
      if (range.end > end) kept.push({ start: end, end: range.end });
      last++;
    }
    this.#ranges.splice(first, last - first, ...kept);
  }

  /** Is every integer of `start … end-1` in the set. */
  covers(start: number, end: number): boolean {
    if (end <= start) return true;
    const range = this.#ranges[this.#firstEndingAtOrAfter(start + 1)];
    return range !== undefined && range.start <= start && range.end >= end;
  }

  /** Is any integer of `start … end-1` in the set. */
  intersects(start: number, end: number): boolean {
    if (end <= start) return false;
    const range = this.#ranges[this.#firstEndingAtOrAfter(start + 1)];
    return range !== undefined && range.start < end;
  }

  /** The first part of `start … end-1` that is in the set; null: none is. */
  first(start: number, end: number): Range | null {
    if (end <= start) return null;
    const range = this.#ranges[this.#firstEndingAtOrAfter(start + 1)];
    if (range === undefined || range.start >= end) return null;
    return { start: Math.max(start, range.start), end: Math.min(end, range.end) };
  }

  /** The parts of `start … end-1` that are in the set, ascending. */
  parts(start: number, end: number): Range[] {
    const parts: Range[] = [];
    for (let part = this.first(start, end); part !== null; part = this.first(part.end, end)) parts.push(part);
    return parts;
  }

  /** The parts of `start … end-1` that are not in the set, ascending. */
  gaps(start: number, end: number): Range[] {
    const gaps: Range[] = [];
    let at = start;
    for (let i = this.#firstEndingAtOrAfter(start + 1); at < end; i++) {
      const range = this.#ranges[i];
      const until = range === undefined ? end : Math.min(range.start, end);
      if (until > at) gaps.push({ start: at, end: until });
      if (range === undefined) break;
      at = Math.max(at, range.end);
    }
    return gaps;
  }

  #firstEndingAtOrAfter(value: number): number {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#ranges[middle] as Range).end < value) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** At most `limit` ranges that cover all of `ranges`, which are ascending and disjoint, with the least in between. */
export function covering(ranges: readonly Range[], limit: number): readonly Range[] {
  if (ranges.length <= limit) return ranges;
  const gapBefore = (index: number): number => (ranges[index]?.start ?? 0) - (ranges[index - 1]?.end ?? 0);
  const widest = Array.from({ length: ranges.length - 1 }, (_, index) => index + 1)
    .sort((one, other) => gapBefore(other) - gapBefore(one))
    .slice(0, limit - 1);
  const starts = [0, ...widest.sort((one, other) => one - other)];
  return starts.map((first, index) => ({
    start: ranges[first]?.start ?? 0,
    end: ranges[(starts[index + 1] ?? ranges.length) - 1]?.end ?? 0,
  }));
}
