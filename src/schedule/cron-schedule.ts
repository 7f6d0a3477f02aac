import { createTask, parse } from 'node-cron';
import { DAY_MS, WallClock } from './wall-clock.js';

/** How far ahead is looked: over the eight years between the leap days of 2096 and 2104. */
const HORIZON_DAYS = 9 * 366;

/**
 * When a cron expression (as node-cron takes it: 5 or 6 fields) is due, as a pure function of the time. What clocks
 * show decides. When they are put forward, a time that does not come is due at once after the gap; when they are put
 * back, a time that comes twice is due the first time. An expression for every hour just goes on, hour by hour.
 */
export class CronSchedule {
  readonly #clock: WallClock;
  readonly #seconds: readonly number[];
  readonly #minutes: readonly number[];
  readonly #hours: readonly number[];
  readonly #isDay: (day: Date) => boolean;
  #last: { readonly after: number; readonly due: number | null } | null = null;

  /** Throws for an expression that node-cron refuses; the configuration has checked it. `timeZone`: this machine's. */
  constructor(
    readonly expression: string,
    timeZone?: string,
  ) {
    const { second, minute, hour, dayOfMonth, month, dayOfWeek } = parse(expression);
    this.#clock = new WallClock(timeZone);
    this.#seconds = ascending(second);
    this.#minutes = ascending(minute);
    this.#hours = ascending(hour);
    // Days may be such as "last Friday", which node-cron knows. Its task is never started: it would ask the real clock.
    const days = `* * * ${dayOfMonth.join(',')} ${month.join(',')} ${dayOfWeek.join(',')}`;
    const task = createTask(days, () => undefined, { timezone: 'UTC' });
    this.#isDay = (day) => task.match(day);
  }

  /** The first instant after `after` at which it is due, ms since 1970; null: not in the next nine years. */
  next(after: number): number | null {
    if (this.#last?.after !== after) this.#last = { after, due: this.#next(after) };
    return this.#last.due;
  }

  #next(after: number): number | null {
    let instant = after;
    let wall = this.#clock.wallOf(after);
    for (;;) {
      const due = this.#nextWall(wall);
      if (due === null) return null;
      const offset = this.#clock.offsetAt(instant);
      const change = this.#clock.firstChange(instant, due - offset);
      if (change === null) return due - offset;
      const before = change + offset;
      const after = this.#clock.wallOf(change);
      if (after > before) {
        if (due < after && !this.#isEveryHour) return change;
        wall = after - 1;
      } else {
        wall = (this.#isEveryHour ? after : before) - 1;
      }
      instant = change;
    }
  }

  get #isEveryHour(): boolean {
    return this.#hours.length === 24;
  }

  /** The first time after `wall` that clocks show and that matches. */
  #nextWall(wall: number): number | null {
    const from = Math.floor(wall / 1000) * 1000 + 1000;
    const firstDay = Math.floor(from / DAY_MS) * DAY_MS;
    for (let day = firstDay; day < firstDay + HORIZON_DAYS * DAY_MS; day += DAY_MS) {
      if (!this.#isDay(new Date(day))) continue;
      const time = this.#firstTime(day === firstDay ? from - day : 0);
      if (time !== null) return day + time;
    }
    return null;
  }

  /** In ms since midnight, at or after `from`. */
  #firstTime(from: number): number | null {
    for (const hour of this.#hours) {
      if ((hour + 1) * 3_600_000 <= from) continue;
      for (const minute of this.#minutes) {
        if (hour * 3_600_000 + (minute + 1) * 60_000 <= from) continue;
        for (const second of this.#seconds) {
          const time = hour * 3_600_000 + minute * 60_000 + second * 1000;
          if (time >= from) return time;
        }
      }
    }
    return null;
  }
}

const ascending = (values: readonly number[]): readonly number[] => [...values].sort((a, b) => a - b);
