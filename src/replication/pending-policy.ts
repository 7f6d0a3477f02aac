import { GRADES, type StateInfo } from '../../protocol/state.js';
import type { WallTime } from '../../protocol/units.js';

/** What becomes of a set on its way when a newer state is to travel (`pending` of a volume). */
export interface PendingPolicy {
  /** `finish`: it arrives first. `newest`: it is turned to the newer state, as far as `mayTurn` lets it. */
  readonly pending: 'finish' | 'newest';
  /** A backup's last state may be this old before a set is no more turned to what takes much longer. */
  readonly maxAgeMs: number;
}

export const FINISH_FIRST: PendingPolicy = { pending: 'finish', maxAgeMs: Infinity };

/** A set that has been turned so often arrives: each turn leaves a boundary that the volume must keep. */
export const MAX_TURNS = 8;
/** A turn that keeps a late backup waiting longer than this, and than half of what it waits anyway, is refused. */
const SOON_SECONDS = 60;

export interface TurnCase {
  readonly travelling: StateInfo;
  readonly newer: StateInfo;
  /** What the backup holds durably; null: nothing yet. */
  readonly base: StateInfo | null;
  readonly now: WallTime;
  /** How often the set was turned already. */
  readonly turns: number;
}

/**
 * May a set be turned to a newer state: `yes`, `no`, or only if it then arrives soon (`arrivesSoon`). A state is not given
 * up for one whose consistency is known less well, nor if a person has written a note on it. A backup whose last state is
 * old is not kept waiting for ever newer ones: the newest must not starve.
 */
export function mayTurn(
  { pending, maxAgeMs }: PendingPolicy,
  { travelling, newer, base, now, turns }: TurnCase,
): 'yes' | 'no' | 'if-soon' {
  if (pending === 'finish' || turns >= MAX_TURNS) return 'no';
  const isBetter = GRADES.indexOf(newer.grade) <= GRADES.indexOf(travelling.grade);
  if (!isBetter || travelling.note !== undefined || newer.ordinal <= travelling.ordinal) return 'no';
  return base !== null && now - base.time <= maxAgeMs ? 'yes' : 'if-soon';
}

/** Is the newer state there not much later than the one that travels would be; both in seconds of line. */
export const arrivesSoon = (travelling: number, newer: number): boolean =>
  newer - travelling <= Math.max(SOON_SECONDS, travelling / 2);
