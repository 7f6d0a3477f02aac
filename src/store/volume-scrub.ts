import { RangeSet, type Range } from '../../protocol/ranges.js';
import type { Clock } from '../platform/clock.js';
import { FileError, type Files } from '../platform/files.js';
import { randomId, type Random } from '../platform/random.js';
import { breathe, SLICE_BYTES } from './block-content.js';
import { BlockDigests, type BlockFault } from './block-digests.js';
import { fromFileError, StoreError } from './errors.js';
import type { Image } from './image.js';
import { incrementBytes, scrubIncrements } from './increment-scrub.js';
import { readBlocks } from './readable-blocks.js';
import type { StateChain } from './state-chain.js';
import type { SuspectRecord } from './suspect-record.js';
import type { ScrubOptions, ScrubReport } from './volume-store.js';
import type { VolumeRecord } from './volume-record.js';

export interface ScrubContext {
  readonly files: Files;
  readonly folder: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly image: Image;
  readonly chain: StateChain;
  readonly suspects: SuspectRecord;
  /** A turn among the volume's changes, in which the image is one state; fails with `overwriting` where it is not. */
  readonly settled: <T>(work: () => Promise<T>) => Promise<T>;
}

/** What one turn has read of the image. */
interface Slice {
  /** Where to go on, in bytes; null: there is nothing more. */
  readonly next: number | null;
  readonly blocks: number;
  readonly faults: readonly BlockFault[];
}

/**
 * Scrubs a volume (`VolumeStore.scrub`). The image is read slice by slice, each in a turn among the volume's changes: in a
 * turn image and digests are in step, whatever is applied between two of them.
 */
export async function scrubVolume(
  context: ScrubContext,
  { signal, pace = breathe, progress }: ScrubOptions,
): Promise<ScrubReport> {
  const { clock, chain, image, suspects, settled } = context;
  const found = { rotten: new RangeSet(), unknown: new RangeSet() };
  let blocks = 0;
  const blockSize = (chain.record as VolumeRecord).blockSize;
  const behind = await incrementBytes(chain);
  const digests = await settled(() => beginDigests(context));
  try {
    for (let at: number | null = 0; at !== null;) {
      signal.throwIfAborted();
      const from: number = at;
      const slice = await settled(() =>
        digests === 'checked' ? checkSlice(from, context) : noteSlice(from, context),
      );
      for (const { block, kind } of slice.faults) found[kind].add(block, block + 1);
      blocks += slice.blocks;
      at = slice.next;
      const total = chain.state?.size ?? 0;
      progress?.(Math.min(at ?? total, total), total + behind);
      await pace(slice.blocks * blockSize);
    }
    if (digests !== 'checked') await settled(() => completeDigests(context));
  } catch (cause) {
    if (digests !== 'checked') await image.keepDigests(null);
    throw cause;
  } finally {
    const suspect = [...found.rotten.ranges, ...found.unknown.ranges];
    if (suspect.length > 0) await settled(() => suspects.add(suspect, clock.wall()));
  }
  const { rotten, unknown } = found;
  const records = await settled(() => checkRecord(context));
  const size = chain.state?.size ?? 0;
  const { increments, points } = await scrubIncrements(chain, rotten, {
    signal,
    pace,
    progress: (done, total) => progress?.(size + done, size + total),
  });
  return {
    state: points.newest,
    digests,
    blocks,
    bytes: (blocks + increments.blocks) * blockSize,
    rotten: [...rotten.ranges],
    unknown: [...unknown.ranges],
    increments,
    points: points.damaged,
    records,
  };
}

/** From now on digests are kept; those that there are none of are to be made. */
async function beginDigests({
  files,
  folder,
  random,
  chain,
  image,
}: ScrubContext): Promise<ScrubReport['digests']> {
  if (image.completeDigests !== null) return 'checked';
  const { blockSize, digests } = chain.record as VolumeRecord;
  await image.keepDigests(
    await BlockDigests.create(files, folder, { id: randomId(random), blockSize }, false),
  );
  return digests === undefined ? 'made' : 'remade';
}

async function completeDigests({ chain, image }: ScrubContext): Promise<void> {
  const { digests } = image;
  if (digests === null) throw new StoreError('closed', 'the store is closed');
  await digests.sync();
  await chain.replaceRecord({ ...(chain.record as VolumeRecord), digests: digests.identity.id });
  digests.isComplete = true;
}

async function checkSlice(at: number, { chain, image }: ScrubContext): Promise<Slice> {
  const digests = image.completeDigests;
  const { size, blockSize } = geometry(chain);
  if (digests === null) throw new StoreError('closed', 'the digests are gone');
  const first = at / blockSize;
  const inImage = (await image.nextData(at))?.start ?? size;
  const noted = (await digests.nextNoted(first))?.start ?? size / blockSize;
  const start = Math.min(Math.floor(inImage / blockSize), Math.max(noted, first));
  if (start * blockSize >= size) return { next: null, blocks: 0, faults: [] };
  const bytes = Buffer.allocUnsafe(Math.min(SLICE_BYTES, size - start * blockSize));
  const unreadable = await readBlocks(bytes, blockSize, (into, place) =>
    image.read(into, (start + place) * blockSize),
  );
  const faults = await digests.check(start, bytes);
  const more = unreadable
    .map((place) => start + place)
    .filter((block) => !faults.some((fault) => fault.block === block))
    .map((block): BlockFault => ({ block, kind: 'rotten' }));
  const next = start * blockSize + bytes.byteLength;
  return {
    next: next < size ? next : null,
    blocks: bytes.byteLength / blockSize,
    faults: [...faults, ...more],
  };
}

async function noteSlice(at: number, { chain, image, random }: ScrubContext): Promise<Slice> {
  const { size, blockSize } = geometry(chain);
  const data = await image.nextData(at);
  const start = data === null ? size : Math.floor(data.start / blockSize) * blockSize;
  if (start >= size) return { next: null, blocks: 0, faults: [] };
  const bytes = Buffer.allocUnsafe(Math.min(SLICE_BYTES, size - start));
  const first = start / blockSize;
  const unreadable = await readBlocks(bytes, blockSize, (into, place) =>
    image.read(into, (first + place) * blockSize),
  );
  // Noted as something that a set may bring they would count as known when it does.
  for (const place of unreadable) bytes.set(random.bytes(blockSize), place * blockSize);
  image.digests?.note(bytes, start);
  if (image.digests?.isCrowded === true) await image.digests.flush();
  const next = start + bytes.byteLength;
  const faults = unreadable.map((place): BlockFault => ({ block: first + place, kind: 'rotten' }));
  return { next: next < size ? next : null, blocks: bytes.byteLength / blockSize, faults };
}

function geometry(chain: StateChain): { readonly size: number; readonly blockSize: number } {
  return { size: chain.state?.size ?? 0, blockSize: (chain.record as VolumeRecord).blockSize };
}

/** What is in memory is right: a record that has rotted on the disk is written anew. */
async function checkRecord({ chain }: ScrubContext): Promise<readonly string[]> {
  try {
    await chain.readRecord();
    return [];
  } catch (cause) {
    const error = cause instanceof FileError ? fromFileError(cause) : cause;
    if (!(error instanceof StoreError)) throw error;
    await chain.replaceRecord(chain.record as VolumeRecord);
    return [`${error.message}; it was written anew`];
  }
}

/**
 * The primary has compared blocks of the image, which is at one state, and found them equal: their digests are made of
 * what is there, and nothing of them is suspect.
 */
export async function trustBlocks(
  { image, chain, suspects }: Pick<ScrubContext, 'image' | 'chain' | 'suspects'>,
  blocks: readonly Range[] | null,
): Promise<void> {
  const { size, blockSize } = geometry(chain);
  const held = new RangeSet(suspects.suspects?.blocks ?? []);
  const digests = image.completeDigests;
  for (const range of blocks ?? [{ start: 0, end: size / blockSize }]) {
    for (const { start, end } of held.parts(range.start, Math.min(range.end, size / blockSize))) {
      const limit = end * blockSize;
      for (let at = start * blockSize; digests !== null && at < limit; at += SLICE_BYTES) {
        const bytes = Buffer.allocUnsafe(Math.min(SLICE_BYTES, limit - at));
        await image.read(bytes, at);
        digests.note(bytes, at);
      }
    }
  }
  await digests?.sync();
  await suspects.remove(blocks);
}
