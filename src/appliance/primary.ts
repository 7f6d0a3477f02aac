import { join } from 'node:path';
import type {
  BackupPeer as BackupConfiguration,
  PrimaryConfiguration,
  VolumeConfiguration,
} from '../config/configuration.js';
import { loadKeyPair } from '../config/keys.js';
import { ControlServer } from '../control/server.js';
import { clearStaleSocket } from '../control/socket-path.js';
import type { VolumeService } from '../engine/volume-service.js';
import { VolumeHost } from '../host/volume-host.js';
import { Encoder } from '../replication/encoder.js';
import { Replicator } from '../replication/replicator.js';
import { Spool } from '../replication/spool.js';
import { RunRecords } from '../schedule/run-record.js';
import { ScheduleRunner } from '../schedule/runner.js';
import type { Appliance, ApplianceOptions } from './appliance.js';
import { BackupPeer } from './backup-peer.js';
import { CallRecord } from './call-budget.js';
import { Closers } from './closers.js';
import { EventLog } from './event-log.js';
import { systemLines } from './lines.js';
import { lockState } from './state-lock.js';
import { PortRegistry } from './port-registry.js';
import { peerLink } from './peer-link.js';
import { Ports } from './ports.js';
import { PrimaryControl } from './primary-control.js';
import { primarySite } from './primary-site.js';
import type { Site } from './site.js';
import { sealForCaller } from './seal-for-caller.js';
import { volumeJob } from './scheduled-runs.js';
import {
  leaders,
  protectedVolumes,
  volumeFolder,
  type OpenService,
  type ProtectedVolume,
} from './protected-volumes.js';

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
    const keys = await loadKeyPair(configuration.state, files);
    await lockState(configuration.state, files, closers);
    await clearStaleSocket(configuration.control);
    const events = new EventLog(clock, log);
    const volumes = await openVolumes(configuration, events, options, closers);
    const encoder = new Encoder((text) =>
      log.warn('A parcel was encoded without references.', { reason: text }),
    );
    closers.push(() => encoder.close());
    const peers: BackupPeer[] = [];
    const { name, backups, listen } = configuration;
    const site = primarySite({ name, keys, clock, random: options.random, peers });
    const links = backups.flatMap((backup) => backup.links);
    const registry = new PortRegistry(options.lines ?? systemLines(clock, log), clock, links, listen);
    const calls = await CallRecord.open(files, join(configuration.state, 'calls.json'));
    closers.push(() => calls.settled());
    for (const backup of configuration.backups) {
      const replicators = await openReplicators(backup, configuration, volumes, encoder, events, options);
      closers.push(() => closeAll(replicators));
      peers.push(makePeer(backup, site, registry, calls, volumes, replicators, events, options));
    }
    await releaseStrangers(configuration, volumes, events);
    for (const peer of peers) {
      for (const replicator of peer.replicators.values()) await replicator.start();
      peer.start();
      closers.push(() => peer.close());
    }
    const ports = new Ports(site, events);
    for (const port of listen) registry.listen(port, ports);
    closers.push(() => ports.close());
    for (const { snapshots } of leaders(volumes)) {
      void snapshots.recover();
      closers.push(() => snapshots.idle());
    }
    const schedule = await startSchedule(configuration, volumes, peers, events, options);
    closers.push(() => schedule.close());
    const control = new PrimaryControl({ name, volumes, peers, ports, schedule, events, clock });
    closers.push(() => {
      control.close();
      return Promise.resolve();
    });
    const server = await ControlServer.listen(configuration.control, control, log);
    closers.push(() => server.close());
    return closers.asAppliance(control);
  } catch (error) {
    await closers.closeAll().catch(() => undefined);
    throw error;
  }
}

async function openVolumes(
  configuration: PrimaryConfiguration,
  events: EventLog,
  options: ApplianceOptions,
  closers: Closers,
): Promise<readonly ProtectedVolume[]> {
  const opened = new Map<string, OpenService>();
  const budget = Math.floor(configuration.beforeImages.budgetBytes / configuration.volumes.length);
  for (const [nbd, volumes] of bySocket(configuration.volumes)) {
    const host = await VolumeHost.start({
      nbd,
      volumes: volumes.map(({ name, device, blockSize }) => ({
        name,
        device,
        blockSize,
        folder: volumeFolder(configuration.state, name),
        beforeImageBudgetBytes: budget,
      })),
    });
    closers.push(() => host.close());
    host.onFailed((error) => {
      options.log.error('The thread of a volume has died.', { err: error });
      closers.fail(error);
    });
    for (const { name } of volumes) {
      const service: VolumeService = host.volume(name);
      const { id } = await service.describe();
      opened.set(name, { id, service });
    }
  }
  return protectedVolumes(configuration, opened, events, options);
}

/** Volumes that share a socket share a thread. */
function bySocket(
  volumes: readonly VolumeConfiguration[],
): Map<VolumeConfiguration['nbd'], VolumeConfiguration[]> {
  const groups = new Map<string, VolumeConfiguration[]>();
  for (const volume of volumes) {
    const key = JSON.stringify(volume.nbd);
    groups.set(key, [...(groups.get(key) ?? []), volume]);
  }
  return new Map(
    [...groups.values()].flatMap((group) => (group[0] === undefined ? [] : [[group[0].nbd, group]])),
  );
}

async function startSchedule(
  configuration: PrimaryConfiguration,
  volumes: readonly ProtectedVolume[],
  peers: readonly BackupPeer[],
  events: EventLog,
  { files, clock, log }: ApplianceOptions,
): Promise<ScheduleRunner> {
  const jobs = leaders(volumes).flatMap((volume) => {
    const schedule = configuration.volumes.find(({ name }) => name === volume.name)?.schedule ?? null;
    return schedule === null ? [] : [volumeJob(volume, schedule, peers, clock)];
  });
  const runner = new ScheduleRunner({
    jobs,
    records: await RunRecords.open(files, join(configuration.state, 'schedule.json')),
    clock,
    log,
    onEvent: (level, text) => events.add(level, text),
  });
  runner.start();
  return runner;
}

async function openReplicators(
  backup: BackupConfiguration,
  configuration: PrimaryConfiguration,
  volumes: readonly ProtectedVolume[],
  encoder: Encoder,
  events: EventLog,
  { files, random, clock, log }: ApplianceOptions,
): Promise<ReadonlyMap<string, Replicator>> {
  const replicators = new Map<string, Replicator>();
  for (const volume of volumes) {
    const folder = join(configuration.state, 'spool', backup.name, volume.name);
    const replicator = new Replicator({
      volumeName: volume.name,
      volumeId: volume.id,
      blockSize: volume.blockSize,
      volume: volume.service,
      backup: backup.name,
      spool: await Spool.open(folder, files, random),
      encoder,
      clock,
      random,
      log,
      onEvent: (level, text) => events.add(level, text),
    });
    replicators.set(volume.name, replicator);
  }
  return replicators;
}

async function closeAll(replicators: ReadonlyMap<string, Replicator>): Promise<void> {
  await Promise.all([...replicators.values()].map((replicator) => replicator.close()));
}

function makePeer(
  { name, publicKey, links }: BackupConfiguration,
  site: Site,
  registry: PortRegistry,
  calls: CallRecord,
  volumes: readonly ProtectedVolume[],
  replicators: ReadonlyMap<string, Replicator>,
  events: EventLog,
  { clock, log }: ApplianceOptions,
): BackupPeer {
  return new BackupPeer({
    name,
    publicKey,
    links: links.map((link) => peerLink(name, link, registry, calls)),
    replicators,
    site,
    clock,
    log: log.child({ backup: name }),
    events,
    onCalled: () => sealForCaller(name, volumes, replicators),
  });
}

/** What a backup needs is kept for those in the configuration alone: a pin of another would keep it for ever. */
async function releaseStrangers(
  configuration: PrimaryConfiguration,
  volumes: readonly ProtectedVolume[],
  events: EventLog,
): Promise<void> {
  const known = new Set(configuration.backups.map((backup) => backup.name));
  for (const { name, service } of volumes) {
    const { pins } = await service.describe();
    for (const owner of Object.keys(pins)) {
      const backup = owner.slice(owner.indexOf(':') + 1);
      if (known.has(backup)) continue;
      events.add(
        'warning',
        `${name}: nothing is kept any more for ${backup}, which is not in the configuration`,
      );
      await service.unpin(owner);
    }
  }
}
