import { RangeSet, type Range } from '../../protocol/ranges.js';
import type { BlockIndex, StateId } from '../../protocol/units.js';
import type { BaseBlocks } from '../engine/volume-service.js';

/** Blocks of a base state of which the backup perhaps holds something else: nothing is to refer to them. */
export class SuspectBlocks {
  #from: StateId | null = null;
  #blocks = new RangeSet();

  /** The base state that the set starts from now; what is suspected of another one is forgotten. */
  startFrom(from: StateId | null): void {
    if (from === this.#from) return;
    this.#from = from;
    this.#blocks = new RangeSet();
  }

  add(base: readonly Range[]): void {
    for (const { start, end } of base) if (end > start) this.#blocks.add(start, end);
  }

  /** `read`, the content of `blocks`, with the suspects unknown. */
  without(read: BaseBlocks, blocks: Iterable<BlockIndex>): BaseBlocks {
    if (this.#blocks.ranges.length === 0) return read;
    const known = Uint8Array.from(read.known);
    let place = 0;
    for (const block of blocks) {
      if (this.#blocks.covers(block, block + 1)) known[place] = 0;
      place++;
    }
    return { content: read.content, known };
  }
}
