import type { BackupConfiguration } from '../config/configuration.js';
import type { ApplianceControl } from '../control/appliance-control.js';
import { ControlClient } from '../control/client.js';
import type { CommandContext } from './context.js';

/** Runs `work` on the store of a backup: through its appliance if that is running, else on the store itself. */
export async function withSeeds<T>(
  configuration: BackupConfiguration,
  { files, clock, random }: CommandContext,
  work: (seeds: Pick<ApplianceControl, 'seedImport'>) => Promise<T>,
): Promise<T> {
  const client = await ControlClient.connect(configuration.control);
  if (client !== null) return work(client).finally(() => client.close());
  const [{ Store }, { StoredSeeds }] = await Promise.all([
    import('../store/store.js'),
    import('../control/stored-seeds.js'),
  ]);
  const { store: folder, primaries } = configuration;
  const store = await Store.open({ folder, files, clock, random });
  try {
    return await work(new StoredSeeds({ store, folder, primaries: () => primaries, files, clock }));
  } finally {
    await store.close();
  }
}
