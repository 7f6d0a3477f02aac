import { join } from 'node:path';
import { byteCount, volumeId, type VolumeId } from '../../protocol/units.js';
import type { Clock } from '../platform/clock.js';
import { FileError, type Files } from '../platform/files.js';
import { randomId, type Random } from '../platform/random.js';
import { readBootId } from './boot-id.js';
import { boundByDisk, Budget } from './budget.js';
import type { UnsavedMark } from './change-map.js';
import { DoubtNote } from './doubt-note.js';
import { checkIdentity, openDevice, type OpenDevice } from './device-check.js';
import { isFileError, type EpochSurroundings } from './epoch.js';
import { firstEpochs } from './epoch-list.js';
import { VolumeError } from './errors.js';
import { History, readEpochsRecord } from './history.js';
import { HOT_SLOTS, HOT_UNIT_BYTES, type HotGeometry } from './hot-extents.js';
import { HOT_LOG_NAME, HotLog } from './hot-log.js';
import { Identity, withDoubt } from './identity.js';
import { distrustHistory, doubtAbout } from './left-behind.js';
import type { IdentityRecord } from './volume-record.js';

/** Incarnations that are remembered: a backup that heard of none of so many openings makes a compare. */
const MAX_ANCESTORS = 255;

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
  /** Where to note doubt when the state folder takes nothing; absent: in memory and where temporary files last. */
  readonly doubtFolder?: string;
  /** For tests: how much of the device counts as one in the hot log, and its entries. */
  readonly hotUnitBytes?: number;
  readonly hotSlots?: number;
  readonly signal?: AbortSignal;
}

/** A volume's parts, checked, locked and loaded. */
export interface OpenedVolume {
  readonly device: OpenDevice;
  readonly identity: Identity;
  readonly history: History;
  /** What may be written without a mark being lost; null and why, if it cannot be logged. */
  readonly hotLog: HotLog | { readonly error: unknown };
  readonly hotGeometry: HotGeometry;
  readonly marksNote: DoubtNote;
  readonly hotNote: DoubtNote;
  readonly syncNote: DoubtNote;
  readonly unlock: () => Promise<void>;
}

/**
 * Opens device and state. Whatever is wrong with either is found before anything is written. Then, if the state may
 * lag behind the device, the doubt is made durable before the first request is served:
 *
 *   1. what is in doubt is marked, its before-images distrusted, both synced
 *   2. `volume.json` brings the new incarnation, this boot and the doubt
 *   3. the hot log of the opening before, which counted until now, gives way to an empty one
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
    const opened =
      known === null
        ? await begin(options, surroundings, device, bootId)
        : await goOn(options, surroundings, device, bootId, known);
    await boundByDisk(surroundings.budget, files, folder);
    undo.push(() => opened.history.close());
    const hotGeometry: HotGeometry = {
      sizeBytes: device.sizeBytes,
      unitBytes: Math.max(options.hotUnitBytes ?? HOT_UNIT_BYTES, blockSize),
      slots: options.hotSlots ?? HOT_SLOTS,
    };
    return { device, ...opened, ...(await beginHotLog(options, opened, hotGeometry)), hotGeometry, unlock };
  } catch (error) {
    for (const step of undo.reverse()) await step().catch(() => undefined);
    throw error;
  }
}

/** What `begin` and `goOn` have in common. */
type Begun = Pick<OpenedVolume, 'identity' | 'history' | 'marksNote' | 'hotNote' | 'syncNote'>;

/** An empty log, and its file's identity in `volume.json`, by which a restored folder is recognised. */
async function beginHotLog(
  { files, folder }: VolumeOptions,
  { identity, hotNote }: Begun,
  geometry: HotGeometry,
): Promise<Pick<OpenedVolume, 'hotLog' | 'identity'>> {
  try {
    const hotLog = await HotLog.create(files, folder, identity.record.incarnation, geometry);
    await hotLog.identify(async (stateIdentity) => {
      if (stateIdentity !== null) identity = await identity.change({ stateIdentity });
      await hotNote.remove();
    });
    return { hotLog, identity };
  } catch (error) {
    if (!isFileError(error)) throw error;
    // The log of the opening before must not be taken for this one's.
    await hotNote.write();
    await files.remove(join(folder, HOT_LOG_NAME)).catch(() => undefined);
    await files.syncFolder(folder).catch(() => undefined);
    return { hotLog: { error }, identity };
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
): Promise<Begun> {
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
    ancestors: [],
    deviceIdentity: device.identity,
    stateIdentity: null,
    bootId,
    clean: null,
    doubts: [],
  });
  return { identity, history, ...notesOf(options, id) };
}

async function goOn(
  options: VolumeOptions,
  surroundings: EpochSurroundings,
  device: OpenDevice,
  bootId: string,
  known: IdentityRecord,
): Promise<Begun> {
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
  const notes = notesOf(options, known.id);
  try {
    const stateIdentity = await identityOfHotLog(files, folder);
    const doubt = await doubtAbout({
      ...{ files, folder, known, device, bootId, history, stateIdentity },
      ...notes,
    });
    if (doubt !== null) await distrustHistory(history, doubt.within);
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
      ancestors: [known.incarnation, ...known.ancestors].slice(0, MAX_ANCESTORS),
      deviceIdentity: device.identity,
      stateIdentity: null,
      bootId,
      clean: null,
      doubts: doubt === null ? doubts : withDoubt(doubts, options.clock, doubt, record.nextOrdinal),
    });
    await notes.marksNote.remove();
    await notes.syncNote.remove();
    return { identity, history, ...notes };
  } catch (error) {
    await history.close().catch(() => undefined);
    throw error;
  }
}

const notesOf = (
  { files, doubtFolder }: VolumeOptions,
  id: VolumeId,
): Pick<OpenedVolume, 'marksNote' | 'hotNote' | 'syncNote'> => ({
  marksNote: new DoubtNote(files, id, 'marks', doubtFolder),
  hotNote: new DoubtNote(files, id, 'hot-log', doubtFolder),
  syncNote: new DoubtNote(files, id, 'sync', doubtFolder),
});

async function identityOfHotLog(files: Files, folder: string): Promise<string | null> {
  try {
    const file = await files.open(join(folder, HOT_LOG_NAME), 'read');
    const attributes = await file.attributes?.();
    await file.close();
    return attributes?.identity ?? null;
  } catch {
    return null;
  }
}
