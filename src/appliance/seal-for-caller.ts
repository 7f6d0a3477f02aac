import { nextOf } from '../replication/travel-pins.js';
import type { Replicator } from '../replication/replicator.js';
import type { ProtectedVolume } from './primary-control.js';

/**
 * A backup has called to fetch what there is: the volumes that have no schedule of their own are brought to a consistent
 * state now, where something has changed since the state that the backup has and nothing is on its way already.
 */
export async function sealForCaller(
  backup: string,
  volumes: readonly ProtectedVolume[],
  replicators: ReadonlyMap<string, Replicator>,
): Promise<void> {
  await Promise.all(
    volumes.map(async (volume) => {
      const replicator = replicators.get(volume.name);
      if (replicator === undefined || replicator.isPaused || replicator.view !== null || volume.isScheduled)
        return;
      const { dirtyBlocks } = await volume.service.describe();
      if (dirtyBlocks === 0 && replicator.base !== null) return;
      const signal = new AbortController().signal;
      const outcome = await volume.snapshots.take({ pinAs: [nextOf(backup)], signal });
      if (outcome.kind === 'failed') throw outcome.error;
      if (outcome.kind === 'sealed') await replicator.wake();
    }),
  );
}
