import { nextOf } from '../replication/travel-pins.js';
import type { Replicator } from '../replication/replicator.js';
import { leaders, type ProtectedVolume } from './protected-volumes.js';

/**
 * A backup has called to fetch what there is: the volumes that have no schedule of their own are brought to a consistent
 * state now, where something has changed since the state that the backup has and nothing is on its way already.
 */
export async function sealForCaller(
  backup: string,
  volumes: readonly ProtectedVolume[],
  replicators: ReadonlyMap<string, Replicator>,
): Promise<void> {
  const wanted = await Promise.all(volumes.map((volume) => isWanted(volume, replicators.get(volume.name))));
  const dirty = new Set(volumes.filter((_, i) => wanted[i]).map(({ name }) => name));
  await Promise.all(
    leaders(volumes).map(async ({ snapshots, together }) => {
      if (!together.some((name) => dirty.has(name))) return;
      const signal = new AbortController().signal;
      const outcome = await snapshots.take({ pinAs: [nextOf(backup)], signal });
      if (outcome.kind === 'failed') throw outcome.error;
      if (outcome.kind !== 'sealed') return;
      await Promise.all(together.map(async (name) => replicators.get(name)?.wake()));
    }),
  );
}

async function isWanted(
  { isScheduled, service }: ProtectedVolume,
  replicator: Replicator | undefined,
): Promise<boolean> {
  if (replicator === undefined || replicator.isPaused || replicator.view.transfer !== null || isScheduled)
    return false;
  const { dirtyBlocks } = await service.describe();
  return dirtyBlocks > 0 || replicator.view.base === null;
}
