import type { StateId } from '../../protocol/units.js';
import type { PointRecord } from './volume-record.js';

/** Neighbouring points that go in one step. */
export interface RemovalStep {
  /** The next older point, whose increment then has to lead over all of them; null: they are the oldest. */
  readonly older: PointRecord | null;
  /** Oldest first. */
  readonly removed: readonly PointRecord[];
  /** The state that `removed` lead back from. */
  readonly newer: StateId;
}

/**
 * The steps that remove the unwanted of `points`, oldest first, but never the newest. The oldest points go first:
 * that frees space and needs none.
 */
export function planRemoval(
  points: readonly PointRecord[],
  unwanted: ReadonlySet<StateId>,
): readonly RemovalStep[] {
  const steps: RemovalStep[] = [];
  let older: PointRecord | null = null;
  let removed: PointRecord[] = [];
  for (const [i, point] of points.entries()) {
    if (i < points.length - 1 && unwanted.has(point.state.id)) {
      removed.push(point);
      continue;
    }
    if (removed.length > 0) steps.push({ older, removed, newer: point.state.id });
    older = point;
    removed = [];
  }
  return steps;
}
