import { RangeSet, type Range } from '../../protocol/ranges.js';
import type { BlockSpan } from '../../protocol/parcel/delta-layout.js';
import { blockIndex } from '../../protocol/units.js';
import { SLICE_BYTES } from './block-content.js';
import { ReferenceMismatch } from './errors.js';
import type { Image } from './image.js';
import { readBlocks } from './readable-blocks.js';

/** A mismatch that names the blocks that are to blame, and those blocks. */
export interface NarrowedMismatch {
  readonly error: ReferenceMismatch;
  readonly rotten: readonly Range[];
}

/**
 * Which of the blocks that unfit parcels refer to have rotted in the image, of `size` bytes. Where none has, or that cannot
 * be told, the mismatch names what it did.
 */
export async function narrowMismatch(
  error: ReferenceMismatch,
  image: Image,
  size: number,
): Promise<NarrowedMismatch> {
  const digests = image.completeDigests;
  if (digests === null) return { error, rotten: [] };
  const all = new RangeSet();
  const unfit = [];
  for (const { id, base } of error.unfit) {
    const rotten = new RangeSet();
    for (const { start, count } of base) {
      for await (const block of rottenBlocks(start, start + count, image, size)) rotten.add(block, block + 1);
    }
    for (const { start, end } of rotten.ranges) all.add(start, end);
    unfit.push({ id, base: rotten.isEmpty ? base : rotten.ranges.map(spanOf) });
  }
  return all.isEmpty
    ? { error, rotten: [] }
    : { error: new ReferenceMismatch(unfit, error.message), rotten: all.ranges };
}

async function* rottenBlocks(start: number, end: number, image: Image, size: number): AsyncGenerator<number> {
  const digests = image.completeDigests;
  if (digests === null) return;
  const { blockSize } = digests.identity;
  const limit = Math.min(end * blockSize, size);
  for (let at = start * blockSize; at < limit; at += SLICE_BYTES) {
    const bytes = Buffer.allocUnsafe(Math.min(SLICE_BYTES, limit - at));
    const first = at / blockSize;
    const places = await readBlocks(bytes, blockSize, (into, place) =>
      image.read(into, (first + place) * blockSize),
    );
    for (const { block, kind } of await digests.check(first, bytes)) {
      if (kind === 'rotten' || places.includes(block - first)) yield block;
    }
  }
}

const spanOf = ({ start, end }: Range): BlockSpan => ({ start: blockIndex(start), count: end - start });
