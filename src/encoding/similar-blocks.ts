import { blockIndex, type BlockIndex } from '../../protocol/units.js';
import type { BaseReader, BlockFinder } from './references.js';

/** Blocks asked for in one read. */
const READ_BLOCKS = 256;

export interface SimilarBlocksRequest {
  /** The parcel's blocks with content, ascending. */
  readonly blocks: readonly BlockIndex[];
  readonly content: Uint8Array;
  readonly blockSize: number;
  /** Is this block of the parcel worth the search. */
  readonly wanted: (place: number) => boolean;
  /** Blocks that need no search, being there already. */
  readonly known: ReadonlySet<BlockIndex>;
  readonly finder: BlockFinder;
  readonly base: BaseReader;
  /** The most blocks to bring. */
  readonly most: number;
}

/**
 * Blocks of the base state that are likely to be like those of a parcel, with their content, ascending. The likeliest
 * first where not all fit. Where a block's neighbour was found, the block after (or before) that is looked at too: what
 * was moved was mostly moved together.
 */
export async function similarBlocks(request: SimilarBlocksRequest): Promise<Map<BlockIndex, Uint8Array>> {
  const chosen = choose(request);
  const found = new Map<BlockIndex, Uint8Array>();
  for (let at = 0; at < chosen.length; at += READ_BLOCKS) {
    const blocks = chosen.slice(at, at + READ_BLOCKS);
    const contents = await request.base.read(blocks);
    for (const [i, block] of blocks.entries()) {
      const content = contents[i];
      if (content?.byteLength === request.blockSize) found.set(block, content);
    }
  }
  return found;
}

function choose(request: SimilarBlocksRequest): BlockIndex[] {
  const { blocks, content, blockSize, wanted, known, finder, most } = request;
  const byRank: BlockIndex[][] = [[], []];
  const note = (rank: number, block: BlockIndex): void => {
    (byRank[rank] ??= []).push(block);
  };
  let previous: readonly BlockIndex[] = [];
  let pending = -1;
  for (const place of blocks.keys()) {
    if (!wanted(place)) {
      previous = [];
      continue;
    }
    const found = finder.find(content.subarray(place * blockSize, (place + 1) * blockSize));
    for (const [rank, block] of found.entries()) note(rank, block);
    // What follows the block that was like the one before, and what stood before the one that is like this.
    const before = previous[0];
    if (before !== undefined && found[0] !== before + 1) note(1, blockIndex(before + 1));
    const here = found[0];
    if (here !== undefined && here > 0 && pending === place - 1 && previous[0] !== here - 1) {
      note(1, blockIndex(here - 1));
    }
    pending = place;
    previous = found;
  }
  const chosen = new Set<BlockIndex>();
  for (const rank of byRank) {
    for (const block of rank) {
      if (chosen.size >= most) break;
      if (!known.has(block)) chosen.add(block);
    }
  }
  return [...chosen].sort((a, b) => a - b);
}
