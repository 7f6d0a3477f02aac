import { join } from 'node:path';
import type { PrimaryConfiguration } from '../config/configuration.js';
import { loadKeyPair } from '../config/keys.js';
import { ControlServer } from '../control/server.js';
import { clearStaleSocket } from '../control/socket-path.js';
import { Encoder } from '../replication/encoder.js';
import { SeedNotes } from '../seed/seed-notes.js';
import type { Appliance, ApplianceOptions } from './appliance.js';
import type { BackupPeer } from './backup-peer.js';
import { CallRecord } from './call-budget.js';
import { Closers } from './closers.js';
import { EventLog } from './event-log.js';
import { systemLines } from './lines.js';
import { lockState } from './state-lock.js';
import { PauseNote } from './pause-note.js';
import { PortRegistry } from './port-registry.js';
import { Ports } from './ports.js';
import { PrimaryChange } from './primary-change.js';
import { PrimaryControl } from './primary-control.js';
import { PrimaryPeers } from './primary-peers.js';
import { PrimarySeeds, releaseSeeding } from './primary-seeds.js';
import { primarySite } from './primary-site.js';
import { leaders, protectedVolumes } from './protected-volumes.js';
import { Reloading } from './reloading.js';
import { VolumeHosts } from './volume-hosts.js';
import { VolumeSchedule } from './volume-schedule.js';

/**
 * Builds and starts a primary: lock the state, open the volumes behind their NBD sockets, take up what was travelling,
 * call the backups, answer the operator. Fails with the error of the first part that cannot start, and leaves nothing
 * running then.
 */
export async function startPrimary(
  configuration: PrimaryConfiguration,
  options: ApplianceOptions,
): Promise<Appliance> {
  const closers = new Closers();
  try {
    const { files, clock, log } = options;
    const { name, backups, listen, state } = configuration;
    const keys = await loadKeyPair(state, files);
    await lockState(state, files, closers);
    await clearStaleSocket(configuration.control);
    const events = new EventLog(clock, log);
    const encoder = new Encoder((text) =>
      log.warn('A parcel was encoded without references.', { reason: text }),
    );
    closers.push(() => encoder.close());
    const hosts = new VolumeHosts({ ...options, noter: encoder }, (error) => {
      log.error('The thread of a volume has died.', { err: error });
      closers.fail(error);
    });
    closers.push(() => hosts.close());
    await hosts.add(configuration.volumes, configuration);
    const volumes = [...protectedVolumes(configuration, hosts.open, events, options)];
    await releaseSeeding(volumes);
    const peers: BackupPeer[] = [];
    const site = primarySite({ name, keys, clock, random: options.random, peers });
    const links = backups.flatMap((backup) => backup.links);
    const registry = new PortRegistry(options.lines ?? systemLines(clock, log), clock, links, listen);
    const calls = await CallRecord.open(files, join(state, 'calls.json'));
    closers.push(() => calls.settled());
    const pauses = await PauseNote.open(files, join(state, 'paused.json'));
    const notes = new SeedNotes(files, join(state, 'seeds'));
    const parts = { peers, volumes, site, registry, calls, encoder, pauses, notes, events };
    const sending = new PrimaryPeers({ ...options, ...parts });
    closers.push(() => sending.close());
    await sending.start(configuration);
    const ports = new Ports(site, events);
    for (const port of listen) registry.listen(port, ports);
    closers.push(() => ports.close());
    for (const { snapshots } of leaders(volumes)) void snapshots.recover();
    closers.push(async () => {
      for (const { snapshots } of leaders(volumes)) await snapshots.idle();
    });
    const schedule = new VolumeSchedule(join(state, 'schedule.json'), volumes, peers, events, options);
    closers.push(() => schedule.close());
    await schedule.start(configuration);
    const seeds = new PrimarySeeds({
      ...{ name, publicKey: keys.publicKey, state, volumes, peers, notes, encoder, events },
      ...{ files, clock, random: options.random },
    });
    closers.push(() => seeds.close());
    const control = new PrimaryControl({
      ...{ name, volumes, peers, ports, schedule, pauses, seeds, events, clock },
    });
    closers.push(() => {
      control.close();
      return Promise.resolve();
    });
    const server = await ControlServer.listen(configuration.control, control, log);
    closers.push(() => server.close());
    const change = new PrimaryChange(configuration, {
      ...options,
      hosts,
      volumes,
      peers,
      sending,
      schedule,
      registry,
      events,
    });
    const reloading = new Reloading<PrimaryConfiguration>('primary', events, (next) => change.follow(next));
    closers.push(() => reloading.close());
    return closers.asAppliance(control, reloading);
  } catch (error) {
    await closers.closeAll().catch(() => undefined);
    throw error;
  }
}
