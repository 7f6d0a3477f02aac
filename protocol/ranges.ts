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
