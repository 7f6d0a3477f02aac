import { dirname, join, resolve } from 'node:path';
import type {
  BackupConfiguration,
  CallLink,
  Configuration,
  ConsistencyPolicy,
  ListenPort,
  NbdAddress,
  PrimaryConfiguration,
  VolumeConfiguration,
} from './configuration.js';
import { defaultConsistency } from './schema.js';
import type { WrittenBackup, WrittenConfiguration, WrittenPrimary } from './schema.js';

type Paths = (path: string) => string;

/** Makes every path of a written configuration absolute, relative to its file, and fills in what depends on others. */
export function resolveConfiguration(file: string, written: WrittenConfiguration): Configuration {
  const folder = dirname(file);
  const absolute: Paths = (path) => resolve(folder, path);
  return written.role === 'primary'
    ? resolvePrimary(file, written, absolute)
    : resolveBackup(file, written, absolute);
}

function resolveAppliance(file: string, written: WrittenConfiguration, absolute: Paths) {
  const state = absolute(written.state);
  return {
    file,
    name: written.name,
    state,
    control: written.control === undefined ? join(state, 'control.sock') : absolute(written.control),
    listen: written.listen.map((port): ListenPort => {
      if (port.type === 'tcp') return port;
      const device = absolute(port.device);
      return port.type === 'serial' ? { ...port, device } : { ...port, device, init: port.init ?? null };
    }),
  };
}

function resolvePrimary(file: string, written: WrittenPrimary, absolute: Paths): PrimaryConfiguration {
  const appliance = resolveAppliance(file, written, absolute);
  return {
    role: 'primary',
    ...appliance,
    encoding: { indexBytes: written.encoding.index },
    beforeImages: { budgetBytes: written.beforeImages.budget },
    volumes: written.volumes.map(asItsGroup).map((volume): VolumeConfiguration => ({
      name: volume.name,
      device: absolute(volume.device),
      blockSize: volume.blockSize,
      nbd: resolveNbd(
        volume.nbd ?? { kind: 'unix', path: join(appliance.state, `${volume.name}.sock`) },
        absolute,
      ),
      group: volume.group ?? null,
      schedule: volume.schedule ?? null,
      consistency: resolveConsistency(volume.consistency),
      pending: volume.pending,
      maxAgeMs: volume.maxAge,
    })),
    backups: written.backups.map((backup) => ({
      name: backup.name,
      publicKey: backup.publicKey,
      links: resolveLinks(backup.links, absolute),
    })),
  };
}

type WrittenVolume = WrittenPrimary['volumes'][number];

/** The first volume of a group says for all when snapshots are taken, and how. */
function asItsGroup(volume: WrittenVolume, _: number, all: readonly WrittenVolume[]): WrittenVolume {
  if (volume.group === undefined) return volume;
  const first = all.find(({ group }) => group === volume.group) ?? volume;
  return {
    ...volume,
    schedule: volume.schedule ?? first.schedule,
    consistency: volume.consistency ?? first.consistency,
  };
}

function resolveConsistency(written: WrittenVolume['consistency']): ConsistencyPolicy {
  const { quiet, deadline, atDeadline, before, after, notice, grace } = written ?? defaultConsistency;
  return {
    quietMs: quiet,
    deadlineMs: deadline,
    atDeadline,
    before: before ?? null,
    after: after ?? null,
    notice: notice ?? null,
    graceMs: grace ?? 0,
  };
}

function resolveBackup(file: string, written: WrittenBackup, absolute: Paths): BackupConfiguration {
  return {
    role: 'backup',
    ...resolveAppliance(file, written, absolute),
    store: absolute(written.store),
    primaries: written.primaries.map((primary) => ({
      name: primary.name,
      publicKey: primary.publicKey,
      keep: primary.keep ?? null,
      drill: primary.drill ?? null,
      scrub:
        primary.scrub === undefined
          ? null
          : { schedule: primary.scrub.schedule, bytesPerSecond: primary.scrub.rate ?? null },
      silentAfterMs: primary.silentAfter ?? null,
      poll:
        primary.poll === undefined
          ? null
          : { schedule: primary.poll.schedule, links: resolveLinks(primary.poll.links, absolute) },
    })),
  };
}

function resolveNbd(address: NbdAddress, absolute: Paths): NbdAddress {
  return address.kind === 'unix' ? { kind: 'unix', path: absolute(address.path) } : address;
}

type WrittenLinks = WrittenPrimary['backups'][number]['links'];

function resolveLinks(links: WrittenLinks, absolute: Paths): readonly CallLink[] {
  return links.map(({ minRate, minRateTime, ...link }): CallLink => {
    const floor = minRate === undefined ? null : { minBytesPerSecond: minRate, overMs: minRateTime };
    if (link.type === 'tcp') return { ...link, floor };
    const device = absolute(link.device);
    if (link.type === 'serial') return { ...link, device, floor };
    const { connectTimeout: connectTimeoutMs, ...modem } = link;
    return {
      ...modem,
      floor,
      device,
      window: link.window ?? null,
      costPerMinute: link.costPerMinute ?? null,
      init: link.init ?? null,
      connectTimeoutMs,
    };
  });
}
