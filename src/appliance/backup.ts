import type { BackupConfiguration, KeepPolicy } from '../config/configuration.js';
import { loadKeyPair } from '../config/keys.js';
import { ControlServer } from '../control/server.js';
import { StoredPoints } from '../control/stored-points.js';
import { clearStaleSocket } from '../control/socket-path.js';
import { Store } from '../store/store.js';
import type { Appliance, ApplianceOptions } from './appliance.js';
import { BackupControl } from './backup-control.js';
import { Closers } from './closers.js';
import { EventLog } from './event-log.js';
import { IncomingCalls } from './incoming-calls.js';
import { systemLines } from './lines.js';
import { Retention } from './retention.js';
import { lockState } from './state-lock.js';

/**
 * Builds and starts a backup: lock state and store, finish an apply that was under way, answer calls, answer the
 * operator. Fails with the error of the first part that cannot start, and leaves nothing running then.
 */
export async function startBackup(
  configuration: BackupConfiguration,
  options: ApplianceOptions,
): Promise<Appliance> {
  const closers = new Closers();
  try {
    const { files, clock, random, log } = options;
    const keys = await loadKeyPair(configuration.state, files);
    await lockState(configuration.state, files, closers);
    await clearStaleSocket(configuration.control);
    const events = new EventLog(clock, log);
    const store = await Store.open({ folder: configuration.store, files, clock, random });
    closers.push(() => store.close());
    const keepOf = (primary: string): KeepPolicy | null =>
      configuration.primaries.find(({ name }) => name === primary)?.keep ?? null;
    const retention = new Retention({ store, keepOf, events });
    closers.push(() => retention.close());
    const calls = new IncomingCalls(configuration, keys, store, events, options);
    calls.onApplied = (primary, volume) => retention.tidy(primary, volume);
    const lines = options.lines ?? systemLines(clock);
    for (const port of configuration.listen) calls.listen(lines.listener(port));
    closers.push(() => calls.close());
    const overlays = configuration.state;
    const points = new StoredPoints(store, { files, clock, random, keepOf, overlays });
    closers.push(() => points.close());
    const control = new BackupControl({ name: configuration.name, store, points, calls, events });
    const server = await ControlServer.listen(configuration.control, control, log);
    closers.push(() => server.close());
    retention.tidyAll();
    return closers.asAppliance(control);
  } catch (error) {
    await closers.closeAll().catch(() => undefined);
    throw error;
  }
}
