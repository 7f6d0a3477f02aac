import { isDeepStrictEqual } from 'node:util';
import type { PrimaryConfiguration } from '../config/configuration.js';
import type { ApplianceOptions } from './appliance.js';
import type { BackupPeer } from './backup-peer.js';
import { ApplianceError } from './errors.js';
import type { EventLog } from './event-log.js';
import type { PortRegistry } from './port-registry.js';
import type { PrimaryPeers } from './primary-peers.js';
import { leaders, protectedVolumes, type ProtectedVolume } from './protected-volumes.js';
import { planPrimary, type PrimaryChanges } from './reload-plan.js';
import { refusal } from './reloading.js';
import type { VolumeHosts } from './volume-hosts.js';
import type { VolumeSchedule } from './volume-schedule.js';

/** The parts of a running primary that follow a new configuration. The lists are changed in place. */
export interface PrimaryParts extends ApplianceOptions {
  readonly hosts: VolumeHosts;
  readonly volumes: ProtectedVolume[];
  readonly peers: readonly BackupPeer[];
  readonly sending: PrimaryPeers;
  readonly schedule: VolumeSchedule;
  readonly registry: PortRegistry;
  readonly events: EventLog;
}

/** Takes a running primary from one configuration to the next. NBD clients of volumes that stay notice nothing. */
export class PrimaryChange {
  readonly #parts: PrimaryParts;
  #configuration: PrimaryConfiguration;

  constructor(configuration: PrimaryConfiguration, parts: PrimaryParts) {
    this.#configuration = configuration;
    this.#parts = parts;
  }

  /** Fails with `refused`, or as the opening of a volume does; then nothing has changed. */
  async follow(next: PrimaryConfiguration): Promise<void> {
    const now = this.#configuration;
    const changes = planPrimary(now, next);
    if (changes.kind === 'refused') throw refusal(changes);
    await this.#check(changes, next);
    // Whatever may fail comes first.
    await this.#parts.hosts.add(changes.added, next);
    this.#configuration = next;
    await this.#carryOut(changes, now, next);
  }

  async #check({ removed }: PrimaryChanges, next: PrimaryConfiguration): Promise<void> {
    const { registry, volumes, peers } = this.#parts;
    const shared = registry.newlyShared(
      next.backups.flatMap(({ links }) => links),
      next.listen,
    );
    if (shared.length > 0) {
      throw refusal({ kind: 'refused', reasons: shared.map((device) => `the sharing of ${device}`) });
    }
    for (const { name, service } of volumes.filter((volume) => removed.includes(volume.name))) {
      const { connectedClients } = await service.describe();
      const isSent = peers.some(({ replicators }) => replicators.get(name)?.view.transfer != null);
      if (connectedClients === 0 && !isSent) continue;
      const why = isSent ? 'is being sent' : 'has an NBD client';
      throw new ApplianceError(
        'refused',
        `volume ${name} ${why} and cannot be taken out`,
        'try again when it is idle',
      );
    }
  }

  async #carryOut(
    { added, removed, snapshots, backups }: PrimaryChanges,
    now: PrimaryConfiguration,
    next: PrimaryConfiguration,
  ): Promise<void> {
    const { hosts, volumes, sending, schedule, events } = this.#parts;
    if (snapshots) await schedule.close();
    if (backups) await sending.close();
    if (snapshots) {
      const stay = new Set(volumes.filter((volume) => isAsBefore(volume, now, next)).map(({ name }) => name));
      for (const volume of leaders(volumes)) if (!stay.has(volume.name)) await volume.snapshots.idle();
      const left = volumes.filter(({ name }) => !removed.includes(name));
      // Before they are closed: whoever asks of volumes meanwhile is not to ask these.
      volumes.splice(0, volumes.length, ...left);
      await hosts.remove(removed);
      const made = protectedVolumes(next, hosts.open, events, this.#parts);
      const before = new Map(volumes.map((volume) => [volume.name, volume]));
      const chosen = made.map((volume) =>
        stay.has(volume.name) ? (before.get(volume.name) ?? volume) : volume,
      );
      volumes.splice(0, volumes.length, ...chosen);
      const names = added.map(({ name }) => name);
      for (const { name, snapshots: of } of leaders(volumes)) if (names.includes(name)) void of.recover();
    }
    if (backups) await sending.start(next);
    if (snapshots) await schedule.start(next);
  }
}

/** Snapshots of it are taken as they were, together with the same others. */
function isAsBefore(
  { together }: ProtectedVolume,
  now: PrimaryConfiguration,
  next: PrimaryConfiguration,
): boolean {
  const of = ({ volumes }: PrimaryConfiguration): unknown =>
    volumes
      .filter(({ name }) => together.includes(name))
      .map(({ name, group, consistency, schedule }) => ({
        name,
        group,
        consistency,
        isScheduled: schedule !== null,
      }));
  const groups = new Set(now.volumes.filter(({ name }) => together.includes(name)).map(({ group }) => group));
  const joined = next.volumes.some(
    ({ name, group }) => group !== null && groups.has(group) && !together.includes(name),
  );
  return !joined && isDeepStrictEqual(of(now), of(next));
}
