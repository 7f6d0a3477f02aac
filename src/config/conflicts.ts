import { sep } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type {
  BackupConfiguration,
  CallLink,
  Configuration,
  ListenPort,
  PrimaryConfiguration,
} from './configuration.js';
import type { KeyPath } from './yaml-source.js';

/** Linux keeps 108 bytes for a Unix socket's path, one of them for the end. */
export const MAX_SOCKET_PATH_BYTES = 107;

/** Something that no single field can tell is wrong. */
export interface Conflict {
  readonly path: KeyPath;
  /** Left out: the value as it stands in the file. */
  readonly found?: string;
  readonly allowed: string;
}

/** Combinations that cannot work, or would put data at risk. */
export function findConflicts(configuration: Configuration): readonly Conflict[] {
  return [
    ...socketPath(['control'], configuration.control),
    ...listenConflicts(configuration),
    ...(configuration.role === 'primary' ? primaryConflicts(configuration) : backupConflicts(configuration)),
  ];
}

function primaryConflicts(primary: PrimaryConfiguration): readonly Conflict[] {
  const { volumes, backups } = primary;
  const conflicts: Conflict[] = [
    ...repeated('volumes', 'name', volumes, (volume) => volume.name),
    ...repeated('volumes', 'device', volumes, (volume) => volume.device),
    ...repeated('backups', 'name', backups, (backup) => backup.name),
    ...repeated('backups', 'publicKey', backups, (backup) => keyText(backup.publicKey)),
  ];
  if (volumes.length === 0) conflicts.push({ path: ['volumes'], allowed: 'at least one volume' });
  volumes.forEach((volume, index) => {
    if (volume.nbd.kind === 'unix') {
      conflicts.push(...socketPath(['volumes', index, 'nbd'], volume.nbd.path));
      if (volume.nbd.path === primary.control) {
        conflicts.push({
          path: ['volumes', index, 'nbd'],
          allowed: 'another socket than the control socket',
        });
      }
      if (volume.nbd.path === volume.device) {
        conflicts.push({ path: ['volumes', index, 'nbd'], allowed: 'another path than the device itself' });
      }
    }
    if (isInside(primary.state, volume.device)) {
      conflicts.push({
        path: ['state'],
        found: `a path in the device of volume ${volume.name}`,
        allowed: 'a folder that is on no protected volume',
      });
    }
  });
  conflicts.push(...groupConflicts(volumes));
  backups.forEach((backup, index) => {
    conflicts.push(...linkConflicts(['backups', index, 'links'], backup.links, primary.listen));
  });
  return conflicts;
}

function groupConflicts(volumes: PrimaryConfiguration['volumes']): readonly Conflict[] {
  return volumes.flatMap((volume, index) => {
    const first = volumes.find(({ group }) => group !== null && group === volume.group);
    if (first === undefined || first === volume) return [];
    return (['schedule', 'consistency'] as const).flatMap((key) =>
      isDeepStrictEqual(volume[key], first[key])
        ? []
        : [
            {
              path: ['volumes', index, key],
              allowed: `nothing, or the same as at ${first.name}: group ${first.group} is sealed as one`,
            },
          ],
    );
  });
}

function backupConflicts(backup: BackupConfiguration): readonly Conflict[] {
  const { primaries, store, state } = backup;
  const conflicts: Conflict[] = [
    ...repeated('primaries', 'name', primaries, (primary) => primary.name),
    ...repeated('primaries', 'publicKey', primaries, (primary) => keyText(primary.publicKey)),
  ];
  if (store === state) conflicts.push({ path: ['store'], allowed: 'another folder than state' });
  primaries.forEach(({ keep, poll }, index) => {
    if (keep !== null && Object.values(keep).every((count) => count === 0)) {
      conflicts.push({
        path: ['primaries', index, 'keep'],
        found: 'no points to keep',
        allowed: 'at least one count above 0 (without keep every point is kept)',
      });
    }
    if (poll === null) return;
    const path = ['primaries', index, 'poll', 'links'];
    if (poll.links.length === 0) conflicts.push({ path, allowed: 'at least one link' });
    conflicts.push(...linkConflicts(path, poll.links, backup.listen));
  });
  return conflicts;
}

function socketPath(path: KeyPath, socket: string): readonly Conflict[] {
  const bytes = Buffer.byteLength(socket);
  if (bytes <= MAX_SOCKET_PATH_BYTES) return [];
  return [
    {
      path,
      found: `a socket path of ${bytes} bytes (${socket})`,
      allowed: `at most ${MAX_SOCKET_PATH_BYTES} bytes`,
    },
  ];
}

function listenConflicts({ listen }: Configuration): readonly Conflict[] {
  const where = (port: ListenPort): string =>
    port.type === 'tcp' ? `${port.host}:${port.port}` : port.device;
  return listen.flatMap((port, index) => {
    const first = listen.findIndex((other) => where(other) === where(port));
    if (first === index) return [];
    return [{ path: ['listen', index], found: `${where(port)} a second time`, allowed: 'each port once' }];
  });
}

/** One line can be called out on and listened on, but as the same kind of line at the same speed. */
function linkConflicts(
  path: KeyPath,
  links: readonly CallLink[],
  listen: readonly ListenPort[],
): readonly Conflict[] {
  return links.flatMap((link, index) => {
    if (link.type === 'tcp') return [];
    const port = listen.find((other) => other.type !== 'tcp' && other.device === link.device);
    if (port === undefined || port.type === 'tcp') return [];
    if (port.type === link.type && port.baudRate === link.baudRate) return [];
    return [
      {
        path: [...path, index],
        found: `${link.device} as ${link.type} at ${link.baudRate} baud`,
        allowed: `the same as under listen: ${port.type} at ${port.baudRate} baud`,
      },
    ];
  });
}

function repeated<Item>(
  list: string,
  key: string,
  items: readonly Item[],
  valueOf: (item: Item) => string,
): readonly Conflict[] {
  return items.flatMap((item, index) => {
    const first = items.findIndex((other) => valueOf(other) === valueOf(item));
    if (first === index) return [];
    return [
      {
        path: [list, index, key],
        found: `${valueOf(item)}, which ${list}[${first}] has too`,
        allowed: `a different ${key} for each`,
      },
    ];
  });
}

const keyText = (key: Uint8Array): string => Buffer.from(key).toString('base64');

/** Is `path` the same as `outer` or below it; both absolute and without `..`. */
export const isInside = (path: string, outer: string): boolean =>
  path === outer || path.startsWith(outer.endsWith(sep) ? outer : outer + sep);
