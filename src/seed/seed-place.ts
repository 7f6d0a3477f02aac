import type { Stats } from 'node:fs';
import { readFile, realpath, stat } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';
import { SeedError } from './errors.js';

export interface SeedPlace {
  /** Absolute. */
  readonly path: string;
  /** A file that is there may be replaced. */
  readonly force: boolean;
  /** farcopy's own folders. */
  readonly ownFolders: readonly string[];
  readonly volumes: readonly { readonly name: string; readonly device: string }[];
}

/**
 * Refuses a path at which no seed may be written: `target-exists`, or `bad-place` (no file, in farcopy's own folders, on
 * a file system that lies on a protected volume, or the volume itself).
 */
export async function checkPlace({ path, force, ownFolders, volumes }: SeedPlace): Promise<void> {
  const folder = await realpath(dirname(path)).catch((cause: unknown) => {
    const text = `there is no folder ${dirname(path)}`;
    throw new SeedError('bad-place', text, 'is the disk mounted?', { cause });
  });
  const home = await stat(folder);
  const found = await statOf(path);
  if (found?.isDirectory() === true) {
    throw new SeedError(
      'bad-place',
      `${path} is a folder`,
      `name a file in it, such as ${join(path, 'first.seed')}`,
    );
  }
  for (const own of ownFolders) {
    const real = await realpath(own).catch(() => own);
    if (folder === real || folder.startsWith(real + sep)) {
      throw new SeedError(
        'bad-place',
        `${path} is inside ${own}, where farcopy keeps its own files`,
        ELSEWHERE,
      );
    }
  }
  for (const { name, device } of volumes) {
    const volume = await statOf(device);
    if (volume === null) continue;
    if (volume.isBlockDevice() && (await disksOf(home.dev)).includes(volume.rdev)) {
      throw new SeedError('bad-place', `${path} is on a file system of volume ${name} itself`, ELSEWHERE);
    }
    if (found !== null && found.ino === volume.ino && found.dev === volume.dev) {
      throw new SeedError('bad-place', `${path} is volume ${name} itself`, ELSEWHERE);
    }
  }
  if (found === null) return;
  if (!found.isFile()) {
    throw new SeedError('bad-place', `${path} is not a file`, 'mount the disk and name a file on it');
  }
  if (!force) throw new SeedError('target-exists', `${path} is there already`, 'use --force to overwrite it');
}

const ELSEWHERE = 'write it to the disk that is to travel';

const statOf = (path: string): Promise<Stats | null> => stat(path).catch(() => null);

/** A device, and the whole disk where it is a partition, by their numbers as `stat` has them. */
async function disksOf(device: number): Promise<readonly number[]> {
  // glibc's makedev()
  const major = (device >>> 8) & 0xfff;
  const minor = (device & 0xff) | ((device >>> 12) & 0xfff00);
  const entry = await realpath(`/sys/dev/block/${major}:${minor}`).catch(() => null);
  if (entry === null) return [device];
  const isPartition = await readFile(join(entry, 'partition')).then(
    () => true,
    () => false,
  );
  const text = isPartition ? await readFile(join(dirname(entry), 'dev'), 'utf8').catch(() => '') : '';
  const [, diskMajor, diskMinor] = /^(\d+):(\d+)/.exec(text) ?? [];
  if (diskMajor === undefined || diskMinor === undefined) return [device];
  const [high, low] = [Number(diskMajor), Number(diskMinor)];
  return [device, ((high & 0xfff) << 8) | (low & 0xff) | ((low & 0xfff00) << 12)];
}
