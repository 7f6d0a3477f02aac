import { join } from 'node:path';
import type { BackupConfiguration, KeepPolicy } from '../config/configuration.js';
import { loadKeyPair } from '../config/keys.js';
import { DrillRecords, drillsPath } from '../control/drill-records.js';
import { ScrubRecords, scrubsPath } from '../control/scrub-records.js';
import { ControlServer } from '../control/server.js';
import type { SeedImportResult } from '../control/appliance-control.js';
import { StoredPoints } from '../control/stored-points.js';
import { StoredSeeds } from '../control/stored-seeds.js';
import { clearStaleSocket } from '../control/socket-path.js';
import { Store } from '../store/store.js';
import type { Appliance, ApplianceOptions } from './appliance.js';
import { BackupControl } from './backup-control.js';
import { Closers } from './closers.js';
import { EventLog } from './event-log.js';
import { HeardRecord } from './heard-record.js';
import { BackupSite } from './backup-site.js';
import { systemLines } from './lines.js';
import { PortRegistry } from './port-registry.js';
import { Ports } from './ports.js';
import { PrimaryPolls } from './primary-polls.js';
import { planBackup } from './reload-plan.js';
import { refusal, Reloading } from './reloading.js';
import { Retention } from './retention.js';
import { startChecks } from './scheduled-checks.js';
import { tellScrubbed } from './scrub-text.js';
import { SilenceWatch } from './silence-watch.js';
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
    let current = configuration;
    const keepOf = (primary: string): KeepPolicy | null =>
      current.primaries.find(({ name }) => name === primary)?.keep ?? null;
    const retention = new Retention({ store, keepOf, events });
    closers.push(() => retention.close());
    const { name, primaries, listen } = configuration;
    const site = new BackupSite({
      name,
      primaries: () => current.primaries,
      keys,
      store,
      events,
      clock,
      random,
      log,
      onApplied: (primary, volume) => retention.tidy(primary, volume),
    });
    closers.push(() => site.settled());
    const silence = await SilenceWatch.start({
      primaries: () => current.primaries,
      heardAt: (primary) => site.heardAt(primary),
      isConnected: (primary) => site.session(primary) !== null,
      record: new HeardRecord(files, join(configuration.state, 'heard.json')),
      events,
      clock,
      log,
    });
    closers.push(() => silence.close());
    const links = primaries.flatMap(({ poll }) => poll?.links ?? []);
    const registry = new PortRegistry(options.lines ?? systemLines(clock, log), clock, links, listen);
    const ports = new Ports(site, events);
    for (const port of listen) registry.listen(port, ports);
    closers.push(() => ports.close());
    let polls = await PrimaryPolls.start(configuration, site, registry, events, options);
    closers.push(() => polls.close());
    const overlays = configuration.state;
    const scrubs = new ScrubRecords(files, scrubsPath(configuration.state));
    const points = new StoredPoints(store, {
      files,
      clock,
      random,
      keepOf,
      overlays,
      drillOf: (primary) => current.primaries.find((each) => each.name === primary)?.drill?.command ?? null,
      drills: new DrillRecords(files, drillsPath(configuration.state)),
      scrubs,
      onScrubbed: (primary, result) => {
        tellScrubbed(result, events);
        site.tellSuspects(primary);
      },
    });
    closers.push(() => points.close());
    const seeds = new StoredSeeds({
      ...{ store, files, clock, folder: configuration.store },
      primaries: () => current.primaries,
      onEnded: (primary, imported) => {
        if (imported !== null) events.add('info', importedText(imported));
        // It hears in the next session where the copy stands now.
        site.session(primary)?.link.close('done');
      },
    });
    closers.push(() => seeds.close());
    let checks = await startChecks(configuration, store, points, events, options);
    closers.push(() => checks.close());
    const control = new BackupControl({
      name,
      store,
      points,
      seeds,
      scrubs,
      site,
      ports,
      polls: () => polls,
      silence,
      events,
    });
    const server = await ControlServer.listen(configuration.control, control, log);
    closers.push(() => server.close());
    retention.tidyAll();
    const follow = async (next: BackupConfiguration): Promise<void> => {
      const changes = planBackup(current, next);
      if (changes.kind === 'refused') throw refusal(changes);
      const shared = registry.newlyShared(
        next.primaries.flatMap(({ poll }) => poll?.links ?? []),
        next.listen,
      );
      if (shared.length > 0) {
        throw refusal({ kind: 'refused', reasons: shared.map((device) => `the sharing of ${device}`) });
      }
      current = next;
      for (const primary of changes.dismissed) site.session(primary)?.link.close('done');
      if (changes.polls) {
        await polls.close();
        polls = await PrimaryPolls.start(next, site, registry, events, options);
      }
      if (changes.checks) {
        await checks.close();
        checks = await startChecks(next, store, points, events, options);
      }
      if (changes.keep) retention.tidyAll();
    };
    const reloading = new Reloading<BackupConfiguration>('backup', events, follow);
    closers.push(() => reloading.close());
    return closers.asAppliance(control, reloading);
  } catch (error) {
    await closers.closeAll().catch(() => undefined);
    throw error;
  }
}

const importedText = ({ volume, state }: SeedImportResult): string =>
  `${volume}: the first copy came on a disk (state ${state.slice(0, 8)}); the primary has to confirm it`;
