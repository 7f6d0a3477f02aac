import { FileError } from '../platform/files.js';
import { StoreError } from './errors.js';

/**
 * Fills `into`, whole blocks, by `read`, which fills a buffer from a block's place on. Where the disk does not give them all at
 * once they are read one by one; those that it does not give at all are zeros, and their places are returned.
 */
export async function readBlocks(
  into: Uint8Array,
  blockSize: number,
  read: (into: Uint8Array, place: number) => Promise<void>,
): Promise<readonly number[]> {
  try {
    await read(into, 0);
    return [];
  } catch (cause) {
    if (!isUnreadable(cause)) throw cause;
  }
  const unreadable: number[] = [];
  for (let place = 0; place * blockSize < into.byteLength; place++) {
    const block = into.subarray(place * blockSize, (place + 1) * blockSize);
    try {
      await read(block, place);
    } catch (cause) {
      if (!isUnreadable(cause)) throw cause;
      block.fill(0);
      unreadable.push(place);
    }
  }
  return unreadable;
}

/** Does a failure say that the disk does not give what was asked for, or has not got it any more. */
export function isUnreadable(cause: unknown): boolean {
  const fault = cause instanceof StoreError ? cause.cause : cause;
  return fault instanceof FileError && (fault.code === 'io' || fault.code === 'short-read');
}
