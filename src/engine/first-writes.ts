import type { File } from '../platform/files.js';
import type { BlockLock } from './block-lock.js';
import { isFileError, type Epoch } from './epoch.js';
import type { History } from './history.js';
import type { Holes } from './holes.js';
import type { HotExtents } from './hot-extents.js';

/** The most old content that is read and saved in one go. */
const STAGING_BYTES = 128 << 10;

/** Bytes that a client has asked to write. */
export interface ComingWrite {
  readonly offset: number;
  readonly length: number;
}

/**
 * Writes that came together, and that are about to be carried out within this tick: what they are the first to write
 * is saved and marked beforehand, for all of them with one write to each file. What that leaves out, because it is in
 * the way of another write, lies where nothing is hot, does not fit or cannot be read, each write does for itself.
 */
export class FirstWrites {
  readonly #staging = Buffer.allocUnsafe(STAGING_BYTES);

  constructor(
    readonly device: File,
    readonly history: History,
    readonly hot: HotExtents,
    readonly lock: BlockLock<Epoch>,
    readonly holes: Holes,
  ) {}

  /**
   * Within one tick, and without failing: nothing but time is lost where it does nothing. Answers whether any of the
   * writes is the first to a block.
   */
  prepare(writes: readonly ComingWrite[]): boolean {
    const { blockSize } = this.history.surroundings;
    const most = Math.floor(STAGING_BYTES / blockSize);
    const epoch = this.history.open;
    const blocks = this.#unchanged(epoch, writes);
    if (blocks.length < 2 || most < 2) return blocks.length > 0;
    const saved: number[] = [];
    const free: number[] = [];
    for (const block of blocks) (this.#isFree(epoch, block) ? free : saved).push(block);
    epoch.map.markEach(free);
    for (let at = 0; at < saved.length; at += most) {
      if (!this.#save(epoch, saved.slice(at, at + most))) break;
    }
    return true;
  }

  /** Is there nothing to be saved of a block. */
  #isFree(epoch: Epoch, block: number): boolean {
    return !this.history.wantsBeforeImages || this.holes.covers(epoch, block, block + 1);
  }

  /** The blocks that may be dealt with now, ascending, each once. */
  #unchanged(epoch: Epoch, writes: readonly ComingWrite[]): readonly number[] {
    const { blockSize } = this.history.surroundings;
    const blocks: number[] = [];
    for (const { offset, length } of writes) {
      const start = Math.floor(offset / blockSize);
      const end = Math.ceil((offset + length) / blockSize);
      let at = epoch.map.nextUnchanged(start, end);
      if (at >= end || this.lock.isBusy(start, end) || !this.hot.touch(offset, length)) continue;
      for (; at < end; at = epoch.map.nextUnchanged(at + 1, end)) blocks.push(at);
    }
    blocks.sort((a, b) => a - b);
    return blocks.filter((block, i) => block !== blocks[i - 1]);
  }

  /** Answers false where the files do not take it, or have no room. */
  #save(epoch: Epoch, blocks: readonly number[]): boolean {
    const { blockSize } = this.history.surroundings;
    const { budget } = this.history;
    const content = this.#staging.subarray(0, blocks.length * blockSize);
    if (budget.used + content.length > budget.limit) return false;
    try {
      for (let at = 0; at < blocks.length;) {
        const start = blocks[at] as number;
        let end = at + 1;
        while (end < blocks.length && blocks[end] === start + end - at) end++;
        this.device.readSync(content.subarray(at * blockSize, end * blockSize), start * blockSize);
        at = end;
      }
      if (!epoch.before.saveSync(blocks, content, 1)) return false;
    } catch (error) {
      if (!isFileError(error)) throw error;
      return false;
    }
    epoch.map.markEach(blocks);
    return true;
  }
}
