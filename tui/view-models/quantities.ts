import { formatSize } from '../../src/config/units.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** How long ago, by the largest unit that says enough: `just now`, `3 min ago`, `2 d 4 h ago`. `ms` may be negative. */
export function ago(ms: number): string {
  if (ms < -5_000) return 'in the future';
  return ms < 5_000 ? 'just now' : `${span(ms)} ago`;
}

/** Until something comes: `now`, `in 24 min`. */
export const until = (ms: number): string => (ms < 1000 ? 'now' : `in ${span(ms)}`);

/** `42 s`, `3 min`, `2 h 5 min`, `3 d 4 h`, `40 d`. */
export function span(ms: number): string {
  if (ms < MINUTE) return `${Math.floor(ms / 1000)} s`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min`;
  if (ms < DAY) return two(ms, HOUR, 'h', MINUTE, 'min');
  return ms < 10 * DAY ? two(ms, DAY, 'd', HOUR, 'h') : `${Math.floor(ms / DAY)} d`;
}

function two(ms: number, large: number, largeName: string, small: number, smallName: string): string {
  const rest = Math.floor((ms % large) / small);
  return `${Math.floor(ms / large)} ${largeName}${rest === 0 ? '' : ` ${rest} ${smallName}`}`;
}

/** Bytes a second as people read them; empty where it is not known yet. */
export const rateText = (bytesPerSecond: number | null): string =>
  bytesPerSecond === null ? '' : `${formatSize(Math.round(bytesPerSecond))}/s`;

/** `1 block`, `1 204 blocks`. */
export const blocksText = (blocks: number): string =>
  `${grouped(blocks)} ${blocks === 1 ? 'block' : 'blocks'}`;

export const grouped = (count: number): string => String(count).replace(/\B(?=(\d{3})+$)/g, ' ');

/** Times of day and dates in one time zone. */
export class Calendar {
  readonly #time: Intl.DateTimeFormat;
  readonly #date: Intl.DateTimeFormat;

  /** @param zone an IANA name; absent: this machine's */
  constructor(zone?: string) {
    const base = { ...(zone !== undefined && { timeZone: zone }) };
    this.#time = new Intl.DateTimeFormat('en-GB', {
      ...base,
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
    });
    this.#date = new Intl.DateTimeFormat('sv-SE', {
      ...base,
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
    });
  }

  /** `14:36:02`; `wall` in ms since 1970. */
  time(wall: number): string {
    return Number.isFinite(wall) ? this.#time.format(wall) : '--:--:--';
  }

  /** `14:36:02` on the day of `now`, else `11-21 14:36`, in another year `2025-11-21`. */
  moment(wall: number, now: number): string {
    if (!Number.isFinite(wall)) return '-';
    const day = this.#date.format(wall);
    const today = this.#date.format(now);
    if (day === today) return this.time(wall);
    return day.slice(0, 4) === today.slice(0, 4) ? `${day.slice(5)} ${this.time(wall).slice(0, 5)}` : day;
  }

  /** `2026-11-21 14:36`. */
  full(wall: number): string {
    return Number.isFinite(wall) ? `${this.#date.format(wall)} ${this.time(wall).slice(0, 5)}` : '-';
  }
}
