import { Batch } from './batch.js';
import { SLICE_BYTES } from './block-content.js';
import { digestOf, type BlockFault } from './block-digests.js';
import type { Image } from './image.js';
import type { IncrementWriter } from './increment.js';
import { readBlocks } from './readable-blocks.js';
import { ZERO_SLOT } from './run-table.js';
import type { SetContent } from './set-content.js';

/** How many ranges of old blocks are gathered before they go into the increment. */
const MAX_KEPT = 1024;

interface OldBlocks {
  readonly start: number;
  readonly count: number;
  /** null: zeros. */
  readonly bytes: Uint8Array | null;
  /** The blocks that the disk does not give, which are zeros here; known when they were read. */
  unreadable: readonly number[];
}

/**
 * Saves the blocks of the image's state (of `size` bytes) that the set replaces; holes are saved as zeros. One that has
 * rotted, or that the disk does not give any more, is left out where the set brings back what it was, so that the older state
 * reads it in the image again; else it is marked as damaged. So a bad sector costs what was in it, and not the copy.
 */
export async function saveOldBlocks(
  content: SetContent,
  image: Image,
  size: number,
  writer: IncrementWriter,
): Promise<void> {
  const { blockSize } = content;
  const endBlock = size / blockSize;
  const floor = (position: number): number => Math.floor(position / blockSize);
  const reads = new Batch();
  let kept: OldBlocks[] = [];
  const keep = async (): Promise<void> => {
    await reads.done();
    for (const old of kept) {
      const found = faultsOf(old, image);
      const rotten = rottenOf(found instanceof Promise ? await found : found, old.unreadable);
      if (rotten.length > 0) await addRotten(old, rotten, content, image, writer);
      else await addGood(old, blockSize, writer);
    }
    kept = [];
  };
  const saveRange = async (start: number, end: number): Promise<void> => {
    for (let at = start; at < end;) {
      const data = await image.nextData(at * blockSize);
      const dataStart = data === null ? end : Math.min(Math.max(floor(data.start), at), end);
      if (dataStart > at) kept.push({ start: at, bytes: null, count: dataStart - at, unreadable: [] });
      const dataEnd = data === null ? end : Math.min(floor(data.end + blockSize - 1), end);
      for (at = dataStart; at < dataEnd;) {
        const blocks = Math.min(SLICE_BYTES / blockSize, dataEnd - at);
        const bytes = Buffer.allocUnsafe(blocks * blockSize);
        const old: OldBlocks = { start: at, bytes, count: blocks, unreadable: [] };
        reads.add(readOld(old, bytes, image, blockSize), bytes.byteLength);
        kept.push(old);
        if (reads.isFull) await keep();
        at += blocks;
      }
      if (kept.length >= MAX_KEPT) await keep();
    }
  };
  try {
    for (const { start, count } of content.pieces()) {
      await saveRange(start, Math.min(start + count, endBlock));
    }
    await keep();
  } finally {
    await reads.done();
  }
}

async function readOld(old: OldBlocks, bytes: Uint8Array, image: Image, blockSize: number): Promise<void> {
  const places = await readBlocks(bytes, blockSize, (into, place) =>
    image.read(into, (old.start + place) * blockSize),
  );
  old.unreadable = places.map((place) => old.start + place);
}

function faultsOf(
  { start, count, bytes, unreadable }: OldBlocks,
  image: Image,
): readonly BlockFault[] | Promise<readonly BlockFault[]> {
  const digests = image.completeDigests;
  if (digests === null) return unreadable.map((block) => ({ block, kind: 'rotten' }));
  return bytes === null ? digests.checkZeros(start, start + count) : digests.check(start, bytes);
}

/** Ascending. What cannot be read is good all the same if its digest says that it was zeros. */
const rottenOf = (faults: readonly BlockFault[], unreadable: readonly number[]): readonly number[] =>
  faults
    .filter(({ block, kind }) => kind === 'rotten' || unreadable.includes(block))
    .map(({ block }) => block);

async function addGood(
  { start, count, bytes }: OldBlocks,
  blockSize: number,
  writer: IncrementWriter,
): Promise<void> {
  if (count === 0) return;
  if (bytes === null) writer.addZeros(start, count);
  else await writer.add(start, bytes.subarray(0, count * blockSize));
}

async function addRotten(
  { start, count, bytes }: OldBlocks,
  rotten: readonly number[],
  content: SetContent,
  image: Image,
  writer: IncrementWriter,
): Promise<void> {
  const { blockSize } = content;
  const part = (from: number, until: number): OldBlocks => ({
    start: from,
    count: until - from,
    bytes: bytes?.subarray((from - start) * blockSize, (until - start) * blockSize) ?? null,
    unreadable: [],
  });
  let done = start;
  for (const block of rotten) {
    await addGood(part(done, block), blockSize, writer);
    done = block + 1;
    const was = await image.completeDigests?.digest(block);
    if (digestOf(await content.block(block)) === was) continue;
    await writer.addDamaged(block, part(block, done).bytes ?? new Uint8Array(blockSize));
  }
  await addGood(part(done, start + count), blockSize, writer);
}

/**
 * Brings the image to the set's state; synced. Only ever writes what the state has, so it can be done again from the
 * start however far it came. A first copy's parcels are in place; what lies outside the set is cleared.
 */
export async function overwriteImage(
  content: SetContent,
  image: Image,
  size: number,
  firstCopy: boolean,
): Promise<void> {
  const { blockSize } = content;
  await image.grow(size);
  const writes = new Batch();
  try {
    for (const piece of content.pieces()) {
      if (piece.placed) continue;
      if (piece.slot === ZERO_SLOT) {
        await image.clear({ start: piece.start * blockSize, end: (piece.start + piece.count) * blockSize });
        continue;
      }
      for await (const { start, bytes } of content.content(piece)) {
        writes.add(image.write(bytes, start * blockSize), bytes.byteLength);
        if (writes.isFull) await writes.done();
      }
    }
  } finally {
    await writes.done();
  }
  if (firstCopy) await image.clearOutside(content.covered(), size);
  await image.sync();
}
