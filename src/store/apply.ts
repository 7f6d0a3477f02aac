import { SLICE_BYTES } from './block-content.js';
import type { Image } from './image.js';
import type { IncrementWriter } from './increment.js';
import { ZERO_SLOT } from './run-table.js';
import type { SetContent } from './set-content.js';

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
  for (const { start, count } of content.pieces()) {
    const end = Math.min(start + count, endBlock);
    for (let at = start; at < end;) {
      const data = await image.nextData(at * blockSize);
      const dataStart = data === null ? end : Math.min(Math.max(floor(data.start), at), end);
      if (dataStart > at) writer.addZeros(at, dataStart - at);
      if (data === null || dataStart === end) break;
      const dataEnd = Math.min(floor(data.end + blockSize - 1), end);
      for (at = dataStart; at < dataEnd;) {
        const blocks = Math.min(SLICE_BYTES / blockSize, dataEnd - at);
        const bytes = Buffer.allocUnsafe(blocks * blockSize);
        await image.read(bytes, at * blockSize);
        await writer.add(at, bytes);
        at += blocks;
      }
    }
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
  for (const piece of content.pieces()) {
    if (piece.placed) continue;
    if (piece.slot === ZERO_SLOT) {
      await image.clear({ start: piece.start * blockSize, end: (piece.start + piece.count) * blockSize });
      continue;
    }
    for await (const { start, bytes } of content.content(piece)) await image.write(bytes, start * blockSize);
  }
  if (firstCopy) await image.clearOutside(content.covered(), size);
  await image.sync();
}
