import { DIGEST_BYTES } from '../../protocol/compare/digest.js';
import type { Scanned, ScanRequest } from '../../protocol/compare/scan.js';
import { keptLevel, type Scan } from '../../protocol/compare/tree.js';

/** What was kept of a state's digest tree when that state was read. */
export interface KnownDigests {
  readonly key: Uint8Array;
  readonly blockSize: number;
  readonly blocks: number;
  /** Of all nodes of `keptLevel` (`protocol/compare/kept-digests`). */
  readonly kept: Uint8Array;
}

/**
 * The tree of a state much of which can no longer be read: its upper levels as they were kept, those below from what
 * can be read of it, by `scan`. A block that cannot, because it has changed since, counts as one that differs; it
 * belongs to the set that follows in any case.
 */
export function scanKnown({ kept, blocks, blockSize }: KnownDigests, scan: Scan): Scan {
  const level = keptLevel(blocks, blockSize);
  return async (request) => {
    const { first, count } = request;
    if (request.level === level) {
      const digests = kept.slice(first * DIGEST_BYTES, (first + count) * DIGEST_BYTES);
      return { digests, done: count, unavailable: false };
    }
    const found = await scan(request);
    return found.unavailable ? oneByOne(request, scan) : found;
  };
}

/** No digest that is made is all ones, but once in 2^128. */
const OF_NOTHING = new Uint8Array(DIGEST_BYTES).fill(0xff);

async function oneByOne(request: ScanRequest, scan: Scan): Promise<Scanned> {
  const digests = new Uint8Array(request.count * DIGEST_BYTES);
  for (let i = 0; i < request.count; i++) {
    const found = await scan({ ...request, first: request.first + i, count: 1 });
    digests.set(found.unavailable ? OF_NOTHING : found.digests, i * DIGEST_BYTES);
  }
  return { digests, done: request.count, unavailable: false };
}
