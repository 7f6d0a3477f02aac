import { RangeSet, type Range } from '../../protocol/ranges.js';
import { FileError, type File, type Files } from '../platform/files.js';
import { nodeFiles } from '../platform/node-files.js';
import { isZero, SLICE_BYTES, zeros } from './block-content.js';
import { fromFileError, RottenBlocks, StoreError } from './errors.js';
import { isUnreadable } from './readable-blocks.js';
import type { StateReader } from './volume-store.js';

export interface RestoreOptions {
  /** The real file system unless given. */
  readonly files?: Files;
  /** Overwrite an existing file; a block device is never written without. */
  readonly force: boolean;
  /** Of blocks that have rotted: `refuse` to go on (unless given), or `keep` what there is of them and tell. */
  readonly damaged?: 'refuse' | 'keep';
  readonly progress?: (progress: RestoreProgress) => void;
  readonly signal?: AbortSignal;
}

/** In bytes of the state, holes included. */
export interface RestoreProgress {
  readonly done: number;
  readonly total: number;
}

/** What was restored. */
export interface Restored {
  /** Blocks that are not what the state held. Ascending, disjoint. */
  readonly damaged: readonly Range[];
}

/** Zeros are left out of a file in pieces of this size. */
const HOLE_BYTES = 1 << 16;

interface Target {
  readonly files: Files;
  readonly path: string;
}

/**
 * Writes a state to `path`, absolute: to a file (sparse; made as `<path>.partial` and renamed when it is whole and synced) or to a block
 * device (its first `size` bytes, zeros too; synced). The reader stays the caller's to close. Fails with
 * `target-exists`, `geometry-mismatch` (device too small), `in-use` (device mounted), `no-space`, `damaged`, `io`, or
 * the signal's reason; a file at `path` is untouched then.
 */
export async function restoreState(
  reader: StateReader,
  path: string,
  options: RestoreOptions,
): Promise<Restored> {
  const target: Target = { files: options.files ?? nodeFiles, path };
  try {
    const existing = await kindOf(target);
    if (existing !== 'absent' && !options.force) {
      const what = existing === 'device' ? 'is a block device' : 'is there already';
      throw new StoreError('target-exists', `${path} ${what}`, 'use --force to overwrite it');
    }
    const damaged = await (existing === 'device'
      ? restoreToDevice(reader, target, options)
      : restoreToFile(reader, target, options));
    return { damaged };
  } catch (cause) {
    throw fromFileError(cause);
  }
}

async function kindOf({ files, path }: Target): Promise<'absent' | 'file' | 'device'> {
  if (!(await files.exists(path))) return 'absent';
  const file = await files.open(path, 'read');
  await file.close();
  return file.isBlockDevice ? 'device' : 'file';
}

async function restoreToFile(
  reader: StateReader,
  { files, path }: Target,
  options: RestoreOptions,
): Promise<readonly Range[]> {
  const partial = `${path}.partial`;
  const file = await files.open(partial, 'create');
  try {
    let damaged: readonly Range[] = [];
    try {
      await file.truncate(0);
      await file.truncate(reader.state.size);
      damaged = await copy(reader, file, options, 'leave-holes');
      await file.sync();
    } finally {
      await file.close();
    }
    await files.rename(partial, path);
    return damaged;
  } catch (cause) {
    await files.remove(partial);
    throw cause;
  }
}

async function restoreToDevice(
  reader: StateReader,
  target: Target,
  options: RestoreOptions,
): Promise<readonly Range[]> {
  const device = await openDevice(target);
  try {
    const size = await device.size();
    if (size < reader.state.size) {
      throw new StoreError(
        'geometry-mismatch',
        `${target.path} has ${size} bytes, the state ${reader.state.size}`,
        'restore to a larger device',
      );
    }
    const damaged = await copy(reader, device, options, 'write-zeros');
    await device.sync();
    return damaged;
  } finally {
    await device.close();
  }
}

async function openDevice({ files, path }: Target): Promise<File> {
  try {
    return await files.open(path, 'exclusive');
  } catch (cause) {
    if (!(cause instanceof FileError) || cause.code !== 'busy') throw cause;
    throw new StoreError('in-use', `${path} is mounted or in use`, 'unmount it first', { cause });
  }
}

async function copy(
  reader: StateReader,
  target: File,
  { progress, signal, damaged = 'refuse' }: RestoreOptions,
  gaps: 'leave-holes' | 'write-zeros',
): Promise<readonly Range[]> {
  const rotten = new RangeSet();
  const total = reader.state.size;
  const buffer = Buffer.alloc(Math.min(SLICE_BYTES, total));
  for (let at = 0; at < total;) {
    signal?.throwIfAborted();
    const data = (await reader.nextData(at)) ?? { start: total, end: total };
    let until: number;
    if (data.start > at) {
      until = gaps === 'leave-holes' ? data.start : Math.min(data.start, at + SLICE_BYTES);
      if (gaps === 'write-zeros') await target.write(zeros(until - at), at);
    } else {
      until = Math.min(data.end, at + SLICE_BYTES);
      const slice = buffer.subarray(0, until - at);
      if (damaged === 'refuse') await reader.read(slice, at);
      else await readAnyhow(reader, slice, at, rotten);
      if (gaps === 'write-zeros') await target.write(slice, at);
      else await writeSparse(target, slice, at);
    }
    at = until;
    progress?.({ done: at, total });
  }
  return [...rotten.ranges];
}

/** Reads what there is, and notes the blocks that are not what the state held; what the disk does not give is zeros. */
async function readAnyhow(
  reader: StateReader,
  into: Uint8Array,
  position: number,
  rotten: RangeSet,
): Promise<void> {
  const isRotten = (part: Uint8Array, at: number): Promise<boolean> =>
    reader.read(part, at).then(
      () => false,
      (cause: unknown) => {
        if (cause instanceof RottenBlocks) return true;
        if (!isUnreadable(cause)) throw cause;
        part.fill(0);
        return true;
      },
    );
  if (!(await isRotten(into, position))) return;
  const { blockSize } = reader;
  for (let done = 0; done < into.byteLength;) {
    const block = Math.floor((position + done) / blockSize);
    const end = Math.min(into.byteLength, (block + 1) * blockSize - position);
    if (await isRotten(into.subarray(done, end), position + done)) rotten.add(block, block + 1);
    done = end;
  }
}

async function writeSparse(target: File, slice: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < slice.byteLength; at += HOLE_BYTES) {
    const part = slice.subarray(at, at + HOLE_BYTES);
    if (!isZero(part)) await target.write(part, position + at);
  }
}
