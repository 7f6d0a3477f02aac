import { blockIndex } from '../../protocol/units.js';
import type { ReferenceIndex } from './reference-index.js';

export interface IndexSource {
  /**
   * The next blocks of the volume at or after `from` that may hold anything but zeros, at most `count` of them in a
   * row; null when there are none left. Holes are stepped over without reading.
   */
  next(from: number, count: number): Promise<{ readonly start: number; readonly content: Uint8Array } | null>;
}

/** Blocks looked at in one go: a millisecond's work. */
const SLICE = 64;

/**
 * Looks at a whole volume for its index, in small slices, from where an earlier building stopped; `pause` is asked
 * before each slice and resolves when there is time for it. Rejects with the signal's reason.
 */
export async function buildIndex(
  index: ReferenceIndex,
  source: IndexSource,
  pause: () => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  while (index.cursor < index.blocks) {
    await pause();
    signal.throwIfAborted();
    const slice = await source.next(index.cursor, SLICE);
    signal.throwIfAborted();
    if (slice === null) {
      index.cursor = index.blocks;
      return;
    }
    const count = slice.content.byteLength / index.blockSize;
    if (!(count >= 1) || slice.start < index.cursor) throw new RangeError('the volume does not come forward');
    addBlocks(index, slice.start, slice.content);
    index.cursor = slice.start + count;
  }
}

/** Notes blocks that follow each other: of a slice, or of a set that the other side holds now. */
export function addBlocks(index: ReferenceIndex, start: number, content: Uint8Array): void {
  for (let at = 0; at < content.byteLength; at += index.blockSize) {
    index.add(blockIndex(start + at / index.blockSize), content.subarray(at, at + index.blockSize));
  }
}
