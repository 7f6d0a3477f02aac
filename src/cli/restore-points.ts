import type { BackupConfiguration } from '../config/configuration.js';
import type { ApplianceControl } from '../control/appliance-control.js';
import { DrillRecords, drillsPath } from '../control/drill-records.js';
import { ScrubRecords, scrubsPath } from '../control/scrub-records.js';
import { ControlClient } from '../control/client.js';
import type { StoredPointsOptions } from '../control/stored-points.js';
import type { CommandContext } from './context.js';

export type PointSource = Pick<
  ApplianceControl,
  'points' | 'restore' | 'export' | 'prune' | 'drill' | 'scrub'
>;

/** Runs `work` on the restore points of a backup: through its appliance if that is running, else on its store. */
export async function withRestorePoints<T>(
  configuration: BackupConfiguration,
  context: CommandContext,
  work: (source: PointSource) => Promise<T>,
): Promise<T> {
  const client = await ControlClient.connect(configuration.control);
  if (client === null) return withStore(configuration, context, work);
  try {
    return await work(client);
  } finally {
    client.close();
  }
}

async function withStore<T>(
  configuration: BackupConfiguration,
  { files, clock, random }: CommandContext,
  work: (source: PointSource) => Promise<T>,
): Promise<T> {
  const [{ Store }, { StoredPoints }] = await Promise.all([
    import('../store/store.js'),
    import('../control/stored-points.js'),
  ]);
  const { store: folder, state, primaries } = configuration;
  const options: StoredPointsOptions = {
    files,
    clock,
    random,
    keepOf: (primary) => primaries.find(({ name }) => name === primary)?.keep ?? null,
    overlays: state,
    drillOf: (primary) => primaries.find(({ name }) => name === primary)?.drill?.command ?? null,
    drills: new DrillRecords(files, drillsPath(state)),
    scrubs: new ScrubRecords(files, scrubsPath(state)),
  };
  // Opening makes the folder: a mistyped one must not come into being by looking at it.
  if (!(await files.exists(folder))) return work(new StoredPoints(NO_STORE, options));
  const store = await Store.open({ folder, files, clock, random });
  try {
    return await work(new StoredPoints(store, options));
  } finally {
    await store.close();
  }
}

const NO_STORE = {
  volumes: () => [],
  volume: (): never => {
    throw new TypeError('an empty store has no volume');
  },
};
