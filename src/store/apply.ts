import { Batch } from './batch.js';
import { SLICE_BYTES } from './block-content.js';
import type { Image } from './image.js';
import type { IncrementWriter } from './increment.js';
import { ZERO_SLOT } from './run-table.js';
import type { SetContent } from './set-content.js';

/** How many ranges of old blocks are gathered before they go into the increment. */
const MAX_KEPT = 1024;

/** Saves the blocks of the image's state (of `size` bytes) that the set replaces; holes are saved as zeros. */
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
  let kept: { readonly start: number; readonly bytes: Uint8Array | null; readonly count: number }[] = [];
  const keep = async (): Promise<void> => {
    await reads.done();
    for (const { start, bytes, count } of kept) {
      if (bytes === null) writer.addZeros(start, count);
      else await writer.add(start, bytes);
    }
    kept = [];
  };
  const saveRange = async (start: number, end: number): Promise<void> => {
    for (let at = start; at < end;) {
      const data = await image.nextData(at * blockSize);
      const dataStart = data === null ? end : Math.min(Math.max(floor(data.start), at), end);
      if (dataStart > at) kept.push({ start: at, bytes: null, count: dataStart - at });
      const dataEnd = data === null ? end : Math.min(floor(data.end + blockSize - 1), end);
      for (at = dataStart; at < dataEnd;) {
        const blocks = Math.min(SLICE_BYTES / blockSize, dataEnd - at);
        const bytes = Buffer.allocUnsafe(blocks * blockSize);
        reads.add(image.read(bytes, at * blockSize), bytes.byteLength);
        kept.push({ start: at, bytes, count: blocks });
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
