/** Bytes of the windows whose hashes make a sketch. */
const WINDOW = 32;
/** The most features of one block. */
export const MAX_FEATURES = 16;

const FACTOR = 0x2c1b3c6d;
/** `FACTOR` to the power of `WINDOW`, modulo 2^32: what the byte that leaves the window has become. */
const LEAVING = power(FACTOR, WINDOW);

/**
 * The features of some content: of the hashes of all its windows of 32 bytes, the smallest `wanted` that differ, in
 * ascending order, as bottom-k sketches have it (Broder 1997). Content that shares a good part of its windows, wherever
 * they stand in it, shares features. Windows of one repeated byte do not count. Gives how many there are in `into`.
 */
export function sketch(content: Uint8Array, wanted: number, into: Uint32Array): number {
  let count = 0;
  let largest = 0xffffffff;
  let hash = 0;
  let same = 0;
  let last = -1;
  for (let i = 0; i < content.length; i++) {
    const byte = content[i] as number;
    same = byte === last ? same + 1 : 0;
    last = byte;
    hash = (Math.imul(hash, FACTOR) + byte + 1) | 0;
    if (i >= WINDOW) hash = (hash - Math.imul((content[i - WINDOW] as number) + 1, LEAVING)) | 0;
    if (i < WINDOW - 1 || same >= WINDOW - 1) continue;
    const rank = mixed(hash);
    if (rank >= largest) continue;
    let place = count;
    while (place > 0 && (into[place - 1] as number) > rank) place--;
    if (place > 0 && into[place - 1] === rank) continue;
    if (count < wanted) count++;
    into.copyWithin(place + 1, place, count - 1);
    into[place] = rank;
    if (count === wanted) largest = into[count - 1] as number;
  }
  return count;
}

/** Spreads a hash over 32 bits (the finalizer of MurmurHash3). */
export function mixed(hash: number): number {
  let h = hash ^ (hash >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function power(factor: number, exponent: number): number {
  let result = 1;
  for (let i = 0; i < exponent; i++) result = Math.imul(result, factor);
  return result;
}
