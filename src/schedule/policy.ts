/*
 * When a scheduled job runs: pure, by the wall clock, which may jump. All times in ms since 1970.
 *
 *   due while nothing runs     run
 *   due while the last runs    skipped, and said so: two at a time would only hinder each other
 *   missed (off, asleep)       one run at once, however many were missed
 */

export interface ScheduleState {
  /** Every due time up to and with this one is dealt with. */
  readonly dealtWith: number;
  readonly isRunning: boolean;
}

export type Decision =
  /** Look again at `until` (null: never due again). */
  | { readonly kind: 'wait'; readonly until: number | null }
  /** `missed`: it should have run earlier, while nobody was there. */
  | { readonly kind: 'run'; readonly due: number; readonly missed: boolean }
  | { readonly kind: 'skip'; readonly due: number };

/** A run that comes no later than this is on time. */
export const LATE_MS = 90_000;
/** A clock that is put back by more than this was wrong before: what it had us deal with does not count. */
export const SET_BACK_MS = 600_000;

/** `next` gives the first due time after a time, as `CronSchedule.next`. */
export function decide(
  next: (after: number) => number | null,
  { dealtWith, isRunning }: ScheduleState,
  now: number,
): Decision {
  const from = dealtWith - now > SET_BACK_MS ? now : dealtWith;
  const due = next(from);
  if (due === null || due > now) return { kind: 'wait', until: due };
  if (isRunning) return { kind: 'skip', due };
  return { kind: 'run', due, missed: now - due > LATE_MS };
}
