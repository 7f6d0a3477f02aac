import { ApplianceError } from '../appliance/errors.js';

/** What `--at` can find a point by; times are ISO 8601 with zone. */
export interface Selectable {
  readonly id: string;
  readonly time: string;
}

/** Digits of an id that are enough to try. */
const MIN_ID_DIGITS = 8;
const ID = new RegExp(`^[0-9a-f]{${MIN_ID_DIGITS},32}$`);
const TIME = /^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2})?)?$/;

/**
 * The point that `--at` means: an id, the beginning of one that no other point shares, or a time, which is the newest
 * point not after it. A time without a zone is local; a date alone is its midnight. `at` left out: the newest.
 * Fails with `ApplianceError` `unknown-point` or `ambiguous`.
 *
 * @param points newest first
 */
export function selectPoint<Point extends Selectable>(points: readonly Point[], at?: string): Point {
  const newest = points[0];
  if (newest === undefined) {
    throw new ApplianceError(
      'unknown-point',
      'there is no restore point yet',
      'run `farcopy sync` on the primary',
    );
  }
  if (at === undefined) return newest;
  if (ID.test(at.toLowerCase())) return byId(points, at.toLowerCase());
  const time = parseTime(at);
  if (time === undefined) {
    throw new ApplianceError(
      'unknown-point',
      `"${at}" is neither a point's id nor a time`,
      `give ${MIN_ID_DIGITS} digits of an id or more, or a time such as 2026-11-22T18:30; ${LIST}`,
    );
  }
  return byTime(points, time, at);
}

const LIST = '`farcopy points` lists them';

function byId<Point extends Selectable>(points: readonly Point[], digits: string): Point {
  const found = points.filter((point) => point.id.startsWith(digits));
  const [only] = found;
  if (only === undefined)
    throw new ApplianceError('unknown-point', `there is no restore point ${digits}`, LIST);
  if (found.length > 1) {
    throw new ApplianceError(
      'ambiguous',
      `${found.length} restore points begin with ${digits}`,
      'give more digits',
    );
  }
  return only;
}

function byTime<Point extends Selectable>(points: readonly Point[], time: number, at: string): Point {
  const found = points
    .filter((point) => Date.parse(point.time) <= time)
    .reduce<Point | undefined>(
      (best, point) => (best !== undefined && Date.parse(best.time) >= Date.parse(point.time) ? best : point),
      undefined,
    );
  if (found !== undefined) return found;
  const oldest = points.at(-1)?.time ?? '';
  throw new ApplianceError(
    'unknown-point',
    `there is no restore point that early: ${at}`,
    `the oldest is of ${oldest}; ${LIST}`,
  );
}

/** Milliseconds since 1970, or undefined if it is no time. JavaScript takes a date alone for UTC: not here. */
function parseTime(text: string): number | undefined {
  if (!TIME.test(text)) return undefined;
  const iso =
    text.length === 10 ? `${text}T00:00` : text.replace(' ', 'T').replace(/([+-]\d{2})(\d{2})$/, '$1:$2');
  const time = Date.parse(iso);
  return Number.isNaN(time) ? undefined : time;
}
