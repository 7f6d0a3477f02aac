import { isFileError, type Epoch } from './epoch.js';
import type { History } from './history.js';
import type { Needs } from './needs.js';

/** How much is given back at a time, at the least, in blocks. */
const EVICT_BLOCKS = 256;

/** A full disk is a budget that was set too high: this much of what is used is the new one, until the next snapshot. */
const FULL_DISK_SHARE = 7 / 8;
/** With less than this, it is not we who have filled the disk. */
const SMALL_BYTES = 1 << 20;

/** How far through an epoch's slots everything that is not needed has been given up. */
interface Progress {
  version: number;
  slot: number;
}

/**
 * Keeps before-images within their budget. While there is room everything is kept. Then, for one that a state needs:
 * those that only make deltas smaller are given up, the oldest first; then a state is, the one that needs most; and
 * only then the block. One that nobody needs is let go, unless it can take the place of older ones, which serve
 * nobody but a backup that has been away for long.
 *
 * What is given up is absent from the disk before the write that spoils it, so no state is ever read with it.
 */
export class Keeping {
  readonly #progress = new WeakMap<Epoch, Progress>();

  constructor(
    readonly history: History,
    readonly needs: Needs,
    /** A before-image could not be saved for another reason than the budget. */
    readonly onNotSaved: (error: unknown) => void,
  ) {}

  /** Keeps `content`, what the blocks from `start` on held when `epoch` began, as well as can be. */
  keepAtOnce(epoch: Epoch, start: number, content: Uint8Array): void {
    const { blockSize } = this.history.surroundings;
    const blocks = rangeOf(start, start + content.length / blockSize);
    const outcome = this.#attempt(() => epoch.before.saveSync(blocks, content, 1));
    if (outcome === 'kept') return;
    for (const [from, to, isNeeded] of this.#parts(epoch, start, content.length / blockSize)) {
      const part = content.subarray((from - start) * blockSize, (to - start) * blockSize);
      if (outcome === 'full')
        this.#keepPart(epoch, from, to, isNeeded, () => epoch.before.saveSync(rangeOf(from, to), part, 1));
      else if (isNeeded) this.needs.giveUpThoseOf(epoch.number, from, to);
    }
  }

  /** As `keepAtOnce`, without blocking the thread for what fits. `content` is not kept. */
  async keep(epoch: Epoch, start: number, content: Uint8Array): Promise<void> {
    try {
      if (await epoch.before.save(start, content, 1)) return;
    } catch (error) {
      if (!isFileError(error)) throw error;
    }
    this.keepAtOnce(epoch, start, content);
  }

  /** Keeps it if that takes no more than `share` of the budget, and nothing else has to go; answers whether it did. */
  async keepIfEasy(epoch: Epoch, start: number, content: Uint8Array, share: number): Promise<boolean> {
    try {
      return await epoch.before.save(start, content, share);
    } catch (error) {
      if (!isFileError(error)) throw error;
      this.onNotSaved(error);
      return false;
    }
  }

  /** What these blocks held when `epoch` began could not be read, and is about to be written over. */
  lost(epoch: Epoch, start: number, end: number, error: unknown): void {
    if (!isFileError(error)) throw error;
    this.onNotSaved(error);
    this.needs.giveUpThoseOf(epoch.number, start, end);
  }

  #keepPart(epoch: Epoch, from: number, to: number, isNeeded: boolean, save: () => boolean): void {
    const { budget, surroundings } = this.history;
    for (;;) {
      // More than this, if the limit is lower now than what is used.
      const bytes = Math.max(0, budget.used - budget.limit) + (to - from) * surroundings.blockSize;
      const isRoomMade = this.#evict(bytes, isNeeded ? Infinity : this.needs.newestBase) > 0;
      if (!isRoomMade && !isNeeded) return;
      const outcome = this.#attempt(save);
      if (outcome === 'kept') return;
      if (outcome === 'full' && isRoomMade) continue;
      if (outcome === 'failed' || !this.needs.giveUpOne()) {
        this.needs.giveUpThoseOf(epoch.number, from, to);
        return;
      }
      if (!rangeOf(from, to).some((block) => this.needs.isNeeded(epoch.number, block))) return;
    }
  }

  #attempt(save: () => boolean): 'kept' | 'full' | 'failed' {
    try {
      return save() ? 'kept' : 'full';
    } catch (error) {
      if (!isFileError(error)) throw error;
      if (error.code === 'no-space') {
        const { budget } = this.history;
        if (budget.used > SMALL_BYTES) budget.bound(Math.min(budget.limit, budget.used * FULL_DISK_SHARE));
        return 'full';
      }
      this.onNotSaved(error);
      return 'failed';
    }
  }

  /** The runs of blocks of the same kind. */
  *#parts(
    epoch: Epoch,
    start: number,
    count: number,
  ): Generator<readonly [from: number, to: number, isNeeded: boolean]> {
    for (let at = start; at < start + count;) {
      const isNeeded = this.needs.isNeeded(epoch.number, at);
      let end = at + 1;
      while (end < start + count && this.needs.isNeeded(epoch.number, end) === isNeeded) end++;
      yield [at, end, isNeeded];
      at = end;
    }
  }

  /** Gives up at least `bytes` of what nobody needs, if there is so much, in the epochs before `limit`; answers how much. */
  #evict(bytes: number, limit: number): number {
    let freed = 0;
    for (const epoch of this.history.epochs) {
      if (freed >= bytes || epoch.number >= limit) break;
      if (!epoch.isMerging) freed += this.#evictFrom(epoch, bytes - freed);
    }
    return freed;
  }

  #evictFrom(epoch: Epoch, bytes: number): number {
    const { version } = this.needs;
    const known = this.#progress.get(epoch);
    const progress = known?.version === version ? known : { version, slot: 0 };
    this.#progress.set(epoch, progress);
    const wanted = Math.max(EVICT_BLOCKS, Math.ceil(bytes / this.history.surroundings.blockSize));
    const slots: number[] = [];
    for (; progress.slot < epoch.before.slotEnd && slots.length < wanted; progress.slot++) {
      const block = epoch.before.blockIn(progress.slot);
      if (block !== null && !this.needs.isNeeded(epoch.number, block)) slots.push(progress.slot);
    }
    return slots.length === 0 ? 0 : epoch.before.forget(slots);
  }
}

/** Cheaper than `Array.from`, once for each first write. */
function rangeOf(from: number, to: number): readonly number[] {
  const blocks: number[] = [];
  for (let block = from; block < to; block++) blocks.push(block);
  return blocks;
}
