import { byteCount, volumeId, type VolumeId } from '../../protocol/units.js';
import type { Clock } from '../platform/clock.js';
import { FileError, type Files } from '../platform/files.js';
import { randomId, type Random } from '../platform/random.js';
import { readBootId } from './boot-id.js';
import { boundByDisk, Budget } from './budget.js';
import type { UnsavedMark } from './change-map.js';
import { DoubtNote } from './doubt-note.js';
import { checkIdentity, fingerprint, openDevice, type OpenDevice } from './device-check.js';
import type { EpochSurroundings } from './epoch.js';
import { firstEpochs } from './epoch-list.js';
import { VolumeError } from './errors.js';
import { History, readEpochsRecord } from './history.js';
import { Identity, withDoubt } from './identity.js';
import type { IdentityRecord } from './volume-record.js';

export interface VolumeOptions {
  readonly name: string;
  /** Path of the raw device or image file. */
  readonly device: string;
  readonly blockSize: number;
  /** This volume's own state folder; absolute. */
  readonly folder: string;
  /** Space before-images may take. */
  readonly beforeImageBudgetBytes: number;
  readonly files: Files;
  readonly clock: Clock;
  readonly random: Random;
  /** Names the kernel's boot; asked from the system if absent. */
  readonly bootId?: string;
  /** Where to note doubt when the state folder takes nothing; in memory, so that it is gone after a boot. */
  readonly doubtFolder?: string;
  readonly signal?: AbortSignal;
}

/** A volume's parts, checked, locked and loaded. */
export interface OpenedVolume {
  readonly device: OpenDevice;
  readonly identity: Identity;
  readonly history: History;
  readonly doubtNote: DoubtNote;
  readonly unlock: () => Promise<void>;
}

/**
 * Opens device and state. Whatever is wrong with either is found before anything is written. Then, if the state may
 * lag behind the device, the doubt is made durable before the first request is served.
 */
export async function openVolume(options: VolumeOptions, onUnsavedMark: UnsavedMark): Promise<OpenedVolume> {
  const { files, folder, blockSize } = options;
  const device = await openDevice(files, options.device, blockSize);
  const undo: (() => Promise<void>)[] = [() => device.file.close()];
  try {
    options.signal?.throwIfAborted();
    await files.makeFolder(folder);
    const unlock = await lock(files, folder);
    undo.push(unlock);
    const surroundings: EpochSurroundings = {
      files,
      folder,
      blockSize,
      blocks: device.sizeBytes / blockSize,
      budget: new Budget(options.beforeImageBudgetBytes),
      onUnsavedMark,
    };
    const bootId = options.bootId ?? (await readBootId(files)) ?? randomId(options.random);
    const known = await Identity.read(files, folder);
    const { identity, history } =
      known === null
        ? await begin(options, surroundings, device, bootId)
        : await goOn(options, surroundings, device, bootId, known);
    await boundByDisk(surroundings.budget, files, folder);
    const doubtNote = new DoubtNote(files, identity.record.id, options.doubtFolder);
    return { device, identity, history, doubtNote, unlock };
  } catch (error) {
    for (const step of undo.reverse()) await step().catch(() => undefined);
    throw error;
  }
}

async function lock(files: Files, folder: string): Promise<() => Promise<void>> {
  try {
    return await files.lockFolder(folder);
  } catch (cause) {
    if (!(cause instanceof FileError) || cause.code !== 'busy') throw cause;
    throw new VolumeError(
      'in-use',
      `${folder} is in use by another farcopy process`,
      'stop the other one first: a volume is written by one process only',
      { cause },
    );
  }
}

/** `volume.json` comes last: until it is there, nothing has begun. */
async function begin(
  options: VolumeOptions,
  surroundings: EpochSurroundings,
  device: OpenDevice,
  bootId: string,
): Promise<{ identity: Identity; history: History }> {
  const id: VolumeId = volumeId(randomId(options.random));
  const history = await History.create(surroundings, firstEpochs(id));
  const identity = await Identity.write(options.files, options.folder, {
    magic: 'farcopy volume',
    version: 1,
    id,
    name: options.name,
    blockSize: options.blockSize,
    sizeBytes: byteCount(device.sizeBytes),
    device: options.device,
    incarnation: randomId(options.random),
    parentIncarnation: null,
    bootId,
    clean: null,
    doubts: [],
  });
  return { identity, history };
}

async function goOn(
  options: VolumeOptions,
  surroundings: EpochSurroundings,
  device: OpenDevice,
  bootId: string,
  known: IdentityRecord,
): Promise<{ identity: Identity; history: History }> {
  const { files, folder, name, blockSize } = options;
  checkIdentity(known, { name, blockSize, sizeBytes: device.sizeBytes, path: options.device }, folder);
  const record = await readEpochsRecord(files, folder);
  if (record.volume !== known.id) {
    throw new VolumeError(
      'bad-state',
      `${folder} holds files of two volumes`,
      'restore the state folder, or remove it: the volume then begins anew with a full copy',
    );
  }
  options.signal?.throwIfAborted();
  const history = await History.load(surroundings, record);
  // The count died with the process.
  if (known.clean === null) history.open.written = null;
  try {
    const note = new DoubtNote(files, known.id, options.doubtFolder);
    const doubt = (await note.isThere())
      ? 'changed blocks could not be noted while the disk of the state folder failed'
      : await reasonToDoubt(known, device, bootId, history);
    if (doubt !== null) await doubtEverything(history);
    if (device.sizeBytes > known.sizeBytes) {
      history.open.map.mark(known.sizeBytes / blockSize, device.sizeBytes / blockSize);
      await history.open.map.save();
    }
    const doubts = known.doubts.map((each) => ({ ordinal: record.nextOrdinal, ...each }));
    const identity = await Identity.write(files, folder, {
      ...known,
      sizeBytes: byteCount(device.sizeBytes),
      device: options.device,
      incarnation: randomId(options.random),
      parentIncarnation: known.incarnation,
      bootId,
      clean: null,
      doubts: doubt === null ? doubts : withDoubt(doubts, options.clock, doubt, record.nextOrdinal),
    });
    await note.remove();
    return { identity, history };
  } catch (error) {
    await history.close().catch(() => undefined);
    throw error;
  }
}

/** Why the maps may lag behind the device; null if they do not. */
async function reasonToDoubt(
  known: IdentityRecord,
  device: OpenDevice,
  bootId: string,
  history: History,
): Promise<string | null> {
  if (known.clean === null) {
    if (known.bootId !== bootId) return 'the machine went down while the volume was open';
    // A killed process: all its writes are in the kernel's hands, and from now on on disk, or else in doubt.
    try {
      await device.file.sync();
      for (const epoch of history.epochs) await epoch.sync(() => undefined);
      return null;
    } catch (error) {
      return `a sync failed after the process was killed: ${(error as Error).message}`;
    }
  }
  // The ends of a device that has grown are elsewhere; its time of change says nothing either.
  if (device.sizeBytes !== known.sizeBytes) return null;
  const isTouched = known.clean.modifiedMs !== null && known.clean.modifiedMs !== device.modifiedMs;
  if (isTouched || known.clean.fingerprint !== (await fingerprint(device.file, device.sizeBytes))) {
    return 'the device was written while farcopy was not in the path';
  }
  return null;
}

/**
 * The whole open epoch counts as changed, and no before-image is trusted. (A log of hot extents is to narrow this
 * down to what was being written: DESIGN section 2, durability 4.)
 */
async function doubtEverything(history: History): Promise<void> {
  await history.open.map.markAll();
  for (const epoch of history.epochs) await epoch.before.drop();
}
