import { createHash } from 'node:crypto';
import type { Crc32 } from '../framing/frame.js';

/**
 * The blocks of a scrap. The receiver sends a short checksum of each; the sender, who knows what was meant, answers with
 * the blocks that came whole and one digest over them.
 */

/** Half of it is what a frame that was cut off loses on the average. */
export const SCRAP_BLOCK = 256;

/** Bytes of a block's checksum: of sixty blocks of noise, one in a thousand times one would be taken for whole. */
export const CHECK_BYTES = 2;

/** SHA-256: nobody can make two contents with one digest, also one who chooses both. */
export const RECALL_DIGEST_BYTES = 32;

export const blocksIn = (length: number): number => Math.ceil(length / SCRAP_BLOCK);

export const checkOf = (block: Uint8Array, crc32: Crc32): number => crc32(block) % 2 ** (8 * CHECK_BYTES);

/** Checksums of the blocks of a scrap; the last block may be short. */
export function checksOf(bytes: Uint8Array, crc32: Crc32): number[] {
  return Array.from({ length: blocksIn(bytes.length) }, (_, index) => checkOf(blockAt(bytes, index), crc32));
}

/** A view. */
export const blockAt = (bytes: Uint8Array, index: number): Uint8Array =>
  bytes.subarray(index * SCRAP_BLOCK, (index + 1) * SCRAP_BLOCK);

/** Whole and other blocks in turn, beginning with whole ones, as lengths of runs; the last run is of whole ones. */
export function blockRuns(whole: readonly boolean[], limit: number): number[] {
  const runs: number[] = [];
  let length = 0;
  let of = true;
  for (const each of whole) {
    if (each !== of) {
      if (runs.length === limit) return runs;
      runs.push(length);
      length = 0;
      of = each;
    }
    length++;
  }
  if (of && length > 0 && runs.length < limit) runs.push(length);
  if (runs.length % 2 === 0) runs.pop();
  return runs;
}

/** The byte ranges, from the scrap's start, that such runs name in `length` bytes. */
export function rangesOfRuns(
  runs: readonly number[],
  length: number,
): { readonly start: number; readonly end: number }[] {
  const ranges: { readonly start: number; readonly end: number }[] = [];
  let block = 0;
  runs.forEach((run, index) => {
    const start = Math.min(block * SCRAP_BLOCK, length);
    const end = Math.min((block + run) * SCRAP_BLOCK, length);
    if (index % 2 === 0 && end > start) ranges.push({ start, end });
    block += run;
  });
  return ranges;
}

export function recallDigest(parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
}
