import { pointsToKeep, type Calendar, type KeepPolicy } from './retention.js';
import type { RestorePoint, VolumeStore } from './volume-store.js';

export interface PruneOptions {
  /** Only say what would go; a point that is open would not. */
  readonly dryRun?: boolean;
  readonly calendar?: Calendar;
  readonly signal?: AbortSignal;
}

/** Newest first. */
export interface Pruned {
  readonly kept: readonly RestorePoint[];
  readonly removed: readonly RestorePoint[];
}

/** Removes the points that a policy (null: keep all) does not keep. Fails as `VolumeStore.removePoints`. */
export async function prune(
  volume: VolumeStore,
  policy: KeepPolicy | null,
  { dryRun = false, calendar, signal }: PruneOptions = {},
): Promise<Pruned> {
  const points = volume.points();
  const wanted = pointsToKeep(points, policy, calendar);
  const unwanted = points.filter((point) => !wanted.has(point));
  if (dryRun) return { kept: points.filter((point) => wanted.has(point)), removed: unwanted };
  if (unwanted.length === 0) return { kept: points, removed: [] };
  const removed = await volume.removePoints(new Set(unwanted.map(({ state }) => state.id)), signal);
  return { kept: volume.points(), removed: removed.toReversed() };
}
