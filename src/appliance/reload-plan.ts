import { isDeepStrictEqual } from 'node:util';
import type {
  BackupConfiguration,
  Configuration,
  PrimaryConfiguration,
  VolumeConfiguration,
} from '../config/configuration.js';
import { socketOf } from './volume-hosts.js';

/*
 * What a running appliance has to do to get from one configuration to another, or why it cannot without a restart.
 * Either all of a new configuration counts, or nothing of it.
 */

export interface Refused {
  readonly kind: 'refused';
  /** Each in a few words that name the key. */
  readonly reasons: readonly string[];
}

export interface PrimaryChanges {
  readonly kind: 'change';
  readonly added: readonly VolumeConfiguration[];
  /** Names; they must be idle. */
  readonly removed: readonly string[];
  /** Schedules, groups or consistency rules: how snapshots of the volumes are taken. */
  readonly snapshots: boolean;
  /** Backups or links have changed, the volumes that are sent, or what becomes of a set when a newer state is to travel: calls are ended and made anew. */
  readonly backups: boolean;
}

export function planPrimary(now: PrimaryConfiguration, next: PrimaryConfiguration): PrimaryChanges | Refused {
  const reasons = restartReasons(now, next, [
    'name',
    'state',
    'control',
    'listen',
    'beforeImages',
    'encoding',
  ]);
  const added = next.volumes.filter(({ name }) => !now.volumes.some((volume) => volume.name === name));
  const removed = now.volumes.filter(({ name }) => !next.volumes.some((volume) => volume.name === name));
  for (const volume of next.volumes) {
    const before = now.volumes.find(({ name }) => name === volume.name);
    if (before === undefined) continue;
    for (const key of ['device', 'blockSize', 'nbd'] as const) {
      if (!isDeepStrictEqual(volume[key], before[key])) reasons.push(`${key} of volume ${volume.name}`);
    }
  }
  const sharers = (volume: VolumeConfiguration, volumes: readonly VolumeConfiguration[]): boolean =>
    volumes.some(({ name, nbd }) => name !== volume.name && socketOf(nbd) === socketOf(volume.nbd));
  for (const volume of added) {
    if (sharers(volume, now.volumes)) reasons.push(`volume ${volume.name} on the NBD socket of another`);
  }
  for (const volume of removed) {
    if (sharers(volume, now.volumes) || sharers(volume, next.volumes)) {
      reasons.push(`the end of volume ${volume.name}, which shares its NBD socket`);
    }
  }
  if (reasons.length > 0) return { kind: 'refused', reasons };
  const isChanged = added.length > 0 || removed.length > 0;
  return {
    kind: 'change',
    added,
    removed: removed.map(({ name }) => name),
    snapshots: isChanged || !isDeepStrictEqual(next.volumes, now.volumes),
    backups:
      isChanged ||
      !isDeepStrictEqual(next.backups, now.backups) ||
      !isDeepStrictEqual(next.volumes.map(sendingOf), now.volumes.map(sendingOf)),
  };
}

const sendingOf = ({ name, pending, maxAgeMs }: VolumeConfiguration): unknown[] => [name, pending, maxAgeMs];

export interface BackupChanges {
  readonly kind: 'change';
  /** Names of primaries that may not be here any more, or have another key: their sessions end. */
  readonly dismissed: readonly string[];
  readonly polls: boolean;
  /** Drills or scrubs. */
  readonly checks: boolean;
  readonly keep: boolean;
}

export function planBackup(now: BackupConfiguration, next: BackupConfiguration): BackupChanges | Refused {
  const reasons = restartReasons(now, next, ['name', 'state', 'control', 'listen', 'store']);
  if (reasons.length > 0) return { kind: 'refused', reasons };
  const differs = (key: 'poll' | 'drill' | 'scrub' | 'keep'): boolean =>
    !isDeepStrictEqual(
      now.primaries.map((each) => [each.name, each[key]]),
      next.primaries.map((each) => [each.name, each[key]]),
    );
  const isSame = (name: string, key: Uint8Array): boolean =>
    next.primaries.some((each) => each.name === name && Buffer.compare(each.publicKey, key) === 0);
  const dismissed = now.primaries.flatMap(({ name, publicKey }) => (isSame(name, publicKey) ? [] : [name]));
  return {
    kind: 'change',
    dismissed,
    polls: differs('poll') || dismissed.length > 0,
    checks: differs('drill') || differs('scrub'),
    keep: differs('keep'),
  };
}

function restartReasons<Of extends Configuration>(
  now: Of,
  next: Of,
  keys: readonly (keyof Of & string)[],
): string[] {
  return keys.filter((key) => !isDeepStrictEqual(now[key], next[key]));
}
