import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Configuration } from './configuration.js';
import type { Conflict } from './conflicts.js';

/**
 * What only the running system can tell: two volumes that are one file or device under two names, and a state folder
 * that lies on a filesystem of a protected device. What does not exist (yet) has no identity and causes no conflict.
 */
export async function findDeviceConflicts(configuration: Configuration): Promise<readonly Conflict[]> {
  if (configuration.role !== 'primary') return [];
  const conflicts: Conflict[] = [];
  const stateHome = await filesystemOf(configuration.state);
  const seen = new Map<string, number>();
  for (const [index, volume] of configuration.volumes.entries()) {
    const identity = await identityOf(volume.device);
    if (identity === null) continue;
    const first = seen.get(identity.key);
    if (first === undefined) {
      seen.set(identity.key, index);
    } else if (configuration.volumes[first]?.device !== volume.device) {
      conflicts.push({
        path: ['volumes', index, 'device'],
        found: `${volume.device}, which is the device of volumes[${first}] under another name`,
        allowed: 'a different device for each',
      });
    }
    if (identity.blockDevice !== null && identity.blockDevice === stateHome) {
      conflicts.push({
        path: ['state'],
        found: `a folder on a filesystem of volume ${volume.name}`,
        allowed: 'a folder that is on no protected volume',
      });
    }
  }
  return conflicts;
}

interface DeviceIdentity {
  readonly key: string;
  /** Device number, if it is a block device. */
  readonly blockDevice: number | null;
}

async function identityOf(path: string): Promise<DeviceIdentity | null> {
  const found = await stat(path).catch(() => null);
  if (found === null) return null;
  return found.isBlockDevice()
    ? { key: `device ${found.rdev}`, blockDevice: found.rdev }
    : { key: `file ${found.dev} ${found.ino}`, blockDevice: null };
}

/** Device number of the filesystem that a folder is on, or will be on once it is made. */
async function filesystemOf(folder: string): Promise<number | null> {
  const found = await stat(folder).catch(() => null);
  if (found !== null) return found.dev;
  const parent = dirname(folder);
  return parent === folder ? null : filesystemOf(parent);
}
