/**
 * A time zone as a pure function. "Wall" numbers are what its clocks show, as if that were UTC, in ms since 1970;
 * instants are true UTC.
 */
export class WallClock {
  readonly #format: Intl.DateTimeFormat;

  /** Left out: the zone of this machine (`TZ`). Throws RangeError for a zone nobody knows. */
  constructor(timeZone?: string) {
    this.#format = new Intl.DateTimeFormat('en-US', {
      ...(timeZone !== undefined && { timeZone }),
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
  }

  wallOf(instant: number): number {
    const part: Record<string, number> = {};
    for (const { type, value } of this.#format.formatToParts(instant)) part[type] = Number(value);
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = part;
    const ms = ((instant % 1000) + 1000) % 1000;
    return Date.UTC(year, month - 1, day, hour, minute, second) + ms;
  }

  offsetAt(instant: number): number {
    return this.wallOf(instant) - instant;
  }

  /** The first instant in `(from, to]` at which the clocks show another offset than at `from`; null: none. */
  firstChange(from: number, to: number): number | null {
    const offset = this.offsetAt(from);
    let low = from;
    while (low < to) {
      let high = Math.min(to, low + DAY_MS);
      if (this.offsetAt(high) === offset) {
        low = high;
        continue;
      }
      while (high - low > 1) {
        const middle = Math.floor((low + high) / 2);
        if (this.offsetAt(middle) === offset) low = middle;
        else high = middle;
      }
      return high;
    }
    return null;
  }
}

export const DAY_MS = 86_400_000;
