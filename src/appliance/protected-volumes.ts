import { join } from 'node:path';
import type { PrimaryConfiguration, VolumeConfiguration } from '../config/configuration.js';
import type { ConsistentSnapshots } from '../consistency/consistent-snapshots.js';
import { GroupSeal } from '../consistency/group-seal.js';
import type { VolumeService } from '../engine/volume-service.js';
import type { VolumeIndex } from '../replication/volume-index.js';
import type { VolumeId } from '../../protocol/units.js';
import type { ApplianceOptions } from './appliance.js';
import type { EventLog } from './event-log.js';
import { snapshotsOf, type SealTarget } from './volume-snapshots.js';

/** An open volume under its configured name. */
export interface ProtectedVolume {
  readonly name: string;
  readonly id: VolumeId;
  /** Path of the device or image file. */
  readonly device: string;
  readonly blockSize: number;
  readonly service: VolumeService;
  /** Where in it which content lies, for the encoder. */
  readonly index: VolumeIndex;
  /** Of its group, where it is in one: then all its volumes have the same. */
  readonly snapshots: ConsistentSnapshots;
  /** What a seal of it seals: itself, or its whole group. */
  readonly target: SealTarget;
  /** All that are sealed with it, itself included, in the order of the configuration. */
  readonly together: readonly string[];
  /** Its snapshots are taken by the configured schedule. */
  readonly isScheduled: boolean;
}

/** What is known of a volume once it is open. */
export interface OpenService {
  readonly id: VolumeId;
  readonly service: VolumeService;
  readonly index: VolumeIndex;
}

/** The configured volumes with the snapshots that their configuration wants; those of a group share theirs. */
export function protectedVolumes(
  configuration: PrimaryConfiguration,
  open: ReadonlyMap<string, OpenService>,
  events: EventLog,
  options: ApplianceOptions,
): readonly ProtectedVolume[] {
  const openOf = (name: string): OpenService => {
    const found = open.get(name);
    if (found === undefined) throw new Error(`volume ${name} is not open`);
    return found;
  };
  return sealedTogether(configuration.volumes).flatMap((members) => {
    const [first] = members;
    if (first === undefined) return [];
    const target =
      first.group === null
        ? openOf(first.name).service
        : new GroupSeal({
            name: first.group,
            members: members.map(({ name }) => ({ name, volume: openOf(name).service })),
            clock: options.clock,
            random: options.random,
          });
    const snapshots = snapshotsOf(members, target, configuration, events, options);
    return members.map(({ name, device, blockSize, schedule }) => ({
      name,
      device,
      ...openOf(name),
      blockSize,
      snapshots,
      target,
      together: members.map((member) => member.name),
      isScheduled: schedule !== null,
    }));
  });
}

/** Those of a group, and each other one by itself; in the order of the configuration. */
function sealedTogether(
  volumes: readonly VolumeConfiguration[],
): readonly (readonly VolumeConfiguration[])[] {
  const sets = new Map<string, VolumeConfiguration[]>();
  for (const volume of volumes) {
    const key = volume.group === null ? `volume ${volume.name}` : `group ${volume.group}`;
    sets.set(key, [...(sets.get(key) ?? []), volume]);
  }
  return [...sets.values()];
}

/** The first volume of each set that is sealed together. */
export const leaders = (volumes: readonly ProtectedVolume[]): readonly ProtectedVolume[] =>
  volumes.filter(({ name, together }) => together[0] === name);

/** A volume's own folder in the state. */
export const volumeFolder = (state: string, name: string): string => join(state, 'volumes', name);
