import type { BlockSpan } from '../../protocol/parcel/delta-layout.js';
import { blockDigest } from '../../protocol/parcel/set-digest.js';
import { breathe, SLICE_BYTES } from './block-content.js';
import type { Image } from './image.js';
import type { ParcelFile } from './parcel-file.js';
import { readBlocks } from './readable-blocks.js';
import { ZERO_SLOT } from './run-table.js';

/**
 * Content of blocks of the image's state, one after the other; zeros past its end, at byte `size`, and where the disk does
 * not give them: what is made with those does not fit, as with rotten ones.
 */
export async function readImageSpans(
  image: Image,
  size: number,
  spans: readonly BlockSpan[],
  blockSize: number,
): Promise<Uint8Array> {
  const content = allocate(spans, blockSize);
  let to = 0;
  for (const { start, count } of spans) {
    const bytes = count * blockSize;
    const end = Math.min((start + count) * blockSize, Math.max(size, start * blockSize));
    for (let at = start * blockSize; at < end; at += SLICE_BYTES) {
      const into = to + at - start * blockSize;
      const slice = content.subarray(into, into + Math.min(SLICE_BYTES, end - at));
      await readBlocks(slice, blockSize, (part, place) => image.read(part, at + place * blockSize));
    }
    to += bytes;
  }
  return content;
}

/**
 * Content of blocks of a decoded parcel, one after the other; null if it has not got them, or not any more: a first
 * copy's content is in the image. Rejects with `damaged` where the parcel's file has gone bad.
 */
export async function readParcelSpans(
  parcel: ParcelFile,
  image: Image,
  spans: readonly BlockSpan[],
): Promise<Uint8Array | null> {
  const { blockSize, placed } = parcel.head;
  const content = allocate(spans, blockSize);
  const { table } = parcel;
  let to = 0;
  for (const { start, count } of spans) {
    for (let block: number = start; block < start + count;) {
      const run = table.find(block);
      if (run >= table.length || table.start(run) > block) return null;
      const blocks = Math.min(table.end(run), start + count, block + SLICE_BYTES / blockSize) - block;
      if (table.slot(run) !== ZERO_SLOT) {
        const slot = table.slot(run) + block - table.start(run);
        const into = content.subarray(to, to + blocks * blockSize);
        if (!placed) into.set(await parcel.read(slot, blocks));
        else if (!(await readPlaced(parcel, image, block, slot, into))) return null;
      }
      to += blocks * blockSize;
      block += blocks;
      await breathe();
    }
  }
  return content;
}

async function readPlaced(
  parcel: ParcelFile,
  image: Image,
  block: number,
  slot: number,
  into: Uint8Array,
): Promise<boolean> {
  const { blockSize } = parcel.head;
  await readBlocks(into, blockSize, (part, place) => image.read(part, (block + place) * blockSize));
  for (let i = 0; i * blockSize < into.byteLength; i++) {
    const found = blockDigest(into.subarray(i * blockSize, (i + 1) * blockSize));
    if (Buffer.compare(found, parcel.digest(slot + i)) !== 0) return false;
  }
  return true;
}

const allocate = (spans: readonly BlockSpan[], blockSize: number): Uint8Array =>
  new Uint8Array(spans.reduce((sum, { count }) => sum + count, 0) * blockSize);
