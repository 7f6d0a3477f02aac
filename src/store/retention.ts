/** How many restore points of each kind to keep; 0: none of that kind. */
export interface KeepPolicy {
  readonly last: number;
  readonly hourly: number;
  readonly daily: number;
  readonly weekly: number;
  readonly monthly: number;
}

/** An instant as the wall calendar of the backup shows it. */
export interface CalendarTime {
  /** Days since 1970-01-01 of the date that people there write. */
  readonly day: number;
  /** Months since January of the year 0. */
  readonly month: number;
  readonly hour: number;
  /** Minutes by which that calendar is ahead of UTC. */
  readonly offset: number;
}

export type Calendar = (time: number) => CalendarTime;

const DAY_MS = 86_400_000;

/** The calendar of this machine's time zone. */
export const localCalendar: Calendar = (time) => {
  const date = new Date(time);
  return {
    day: Math.floor(Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) / DAY_MS),
    month: date.getFullYear() * 12 + date.getMonth(),
    hour: date.getHours(),
    offset: -date.getTimezoneOffset(),
  };
};

/** In which hour, day, week or month an instant lies. Weeks begin on Monday; the hour that comes twice is two hours. */
const PERIODS: Readonly<Record<Exclude<keyof KeepPolicy, 'last'>, (at: CalendarTime) => string>> = {
  hourly: ({ day, hour, offset }) => `${day} ${hour} ${offset}`,
  daily: ({ day }) => `${day}`,
  // 1970-01-01 was a Thursday.
  weekly: ({ day }) => `${Math.floor((day + 3) / 7)}`,
  monthly: ({ month }) => `${month}`,
};

/**
 * Which points to keep: the `last` newest, and of each of the newest `hourly` hours, `daily` days … that have a point
 * at all, the newest point. The newest point is always kept, and without a policy every point.
 *
 * "Newest" goes by the order of the applies, and only periods that have a point count. So nothing depends on what the
 * clock says now: a clock that jumps ahead for a while, or back, adds a few periods and ages none.
 *
 * @param points newest first, `appliedAt` on the backup's clock (ms since 1970)
 */
export function pointsToKeep<Point extends { readonly appliedAt: number }>(
  points: readonly Point[],
  policy: KeepPolicy | null,
  calendar: Calendar = localCalendar,
): ReadonlySet<Point> {
  if (policy === null) return new Set(points);
  const kept = new Set(points.slice(0, Math.max(1, policy.last)));
  const times = points.map(({ appliedAt }) => calendar(appliedAt));
  for (const [kind, periodOf] of Object.entries(PERIODS)) {
    const wanted = policy[kind as keyof typeof PERIODS];
    const seen = new Set<string>();
    for (const [i, point] of points.entries()) {
      if (seen.size >= wanted) break;
      const period = periodOf(times[i] as CalendarTime);
      if (seen.has(period)) continue;
      seen.add(period);
      kept.add(point);
    }
  }
  return kept;
}
