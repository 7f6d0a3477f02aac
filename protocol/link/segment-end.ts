import type { Range } from '../ranges.js';
import { SCRAP_BLOCK } from './scrap-blocks.js';

/**
 * Where segments end. Of a frame that has lost bytes on the line the receiver knows how many have come, but not how many
 * were sent; where it can guess that, it reads what stands behind the loss too. So long segments end at a whole block of
 * their parcel: the guess is right for losses of up to a block, and costs nothing on the line.
 */

/** In shorter segments the room would cost more than a loss does. */
const LEAST_ALIGNED = 4 * SCRAP_BLOCK;

/** The end of a segment of at most `size` bytes at the start of what is to be sent. */
export function segmentEnd({ start, end }: Range, size: number): number {
  const most = start + size;
  if (most >= end) return end;
  return size < LEAST_ALIGNED ? most : most - (most % SCRAP_BLOCK);
}

/** The first place from `at` on where a segment is likely to end, unless its parcel does. */
export const segmentEndAfter = (at: number): number => Math.ceil(at / SCRAP_BLOCK) * SCRAP_BLOCK;
