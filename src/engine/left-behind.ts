import type { Range } from '../../protocol/ranges.js';
import type { Files } from '../platform/files.js';
import type { OpenDevice } from './device-check.js';
import { fingerprint } from './device-check.js';
import type { History } from './history.js';
import { readHotLog } from './hot-log.js';
import type { DoubtNote } from './doubt-note.js';
import type { IdentityRecord } from './volume-record.js';

/** What may have been written without a mark, and why. */
export interface Doubt {
  readonly text: string;
  /** Ranges of bytes of the device; null: all of it. */
  readonly within: readonly Range[] | null;
}

export interface LeftBehind {
  readonly files: Files;
  readonly folder: string;
  readonly known: IdentityRecord;
  readonly device: OpenDevice;
  /** The running boot of the kernel. */
  readonly bootId: string;
  readonly history: History;
  /** Identity of the hot log's file as it is now; null: cannot be told. */
  readonly stateIdentity: string | null;
  readonly marksNote: DoubtNote;
  readonly hotNote: DoubtNote;
  readonly syncNote: DoubtNote;
}

const WRITTEN_ELSEWHERE = 'the device was written while farcopy was not in the path';

/** What an opening finds in doubt about what the one before has left (DESIGN section 2, durability 3, 4, 8); null: nothing. */
export async function doubtAbout(left: LeftBehind): Promise<Doubt | null> {
  const { known, device, bootId, stateIdentity } = left;
  if (await left.marksNote.isThere())
    return all('changed blocks could not be noted while the disk of the state folder failed');
  // The kernel has told of that once, and tells nobody again.
  if (await left.syncNote.isThere())
    return all('a sync of the device had failed, and what it put in doubt could not be noted');
  if (differ(known.stateIdentity, stateIdentity)) return all('the state folder was restored from a copy');
  if (differ(known.deviceIdentity, device.identity)) return all('the device is another one than before');
  if (known.clean !== null) return (await isTouched(left)) ? all(WRITTEN_ELSEWHERE) : null;
  return known.bootId === bootId ? afterKill(left) : afterPowerCut(left);
}

/** All its writes are in the kernel's hands, and from now on on disk, or else in doubt. */
async function afterKill({ device, history }: LeftBehind): Promise<Doubt | null> {
  try {
    await device.file.sync();
    for (const epoch of history.epochs) await epoch.sync(() => undefined);
    return null;
  } catch (error) {
    return all(`a sync failed after the process was killed: ${(error as Error).message}`);
  }
}

async function afterPowerCut({ files, folder, known, hotNote }: LeftBehind): Promise<Doubt | null> {
  const text = 'the machine went down while the volume was open';
  if (await hotNote.isThere()) return all(text);
  // The log of the opening before counts until there is one of this: nothing was written in between.
  const within = await readHotLog(files, folder, [known.incarnation, known.parentIncarnation]);
  if (within === null) return all(text);
  return within.length === 0 ? null : { text, within };
}

/** Has anybody else written the device since it was closed in order. */
async function isTouched({ known, device, bootId }: LeftBehind): Promise<boolean> {
  const { clean } = known;
  // The ends of a device that has grown are elsewhere; its time of change says nothing either.
  if (clean === null || device.sizeBytes !== known.sizeBytes) return false;
  if (clean.modifiedMs !== null && clean.modifiedMs !== device.modifiedMs) return true;
  // The kernel counts from its boot on.
  if (known.bootId === bootId && differ(clean.writtenBytes, device.writtenBytes)) return true;
  return clean.fingerprint !== (await fingerprint(device.file, device.sizeBytes));
}

const all = (text: string): Doubt => ({ text, within: null });

const differ = <T>(one: T | null | undefined, other: T | null): boolean =>
  one !== null && one !== undefined && other !== null && one !== other;

/**
 * Makes a doubt durable in marks and before-images: what it covers counts as changed since the last state, and no
 * before-image of it is trusted. What is older was synced before that state had a name.
 */
export async function distrustHistory(history: History, within: Doubt['within']): Promise<void> {
  if (within === null) {
    await history.open.map.markAll();
    for (const epoch of history.epochs) await epoch.before.drop();
    return;
  }
  const { blockSize, blocks } = history.surroundings;
  for (const epoch of history.unsettled()) {
    for (const range of within) {
      const start = Math.floor(range.start / blockSize);
      const end = Math.min(blocks, Math.ceil(range.end / blockSize));
      if (start >= end) continue;
      epoch.before.distrust(start, end);
      epoch.map.mark(start, end);
    }
    await epoch.before.sync();
    await epoch.map.save();
  }
}
