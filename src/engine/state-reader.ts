import type { File } from '../platform/files.js';
import { BEFORE_ABSENT, BEFORE_ZERO } from './before-images.js';
import { isFileError, type Epoch } from './epoch.js';
import type { History } from './history.js';
import { isZero } from './zero.js';

/** What became of a block that was asked for. */
export const BLOCK_DATA = 0;
export const BLOCK_ZERO = 1;
export const BLOCK_UNAVAILABLE = 2;

/** Blocks of a state: content, and for each block one of the three values above. */
export interface StateBlocks {
  readonly content: Buffer;
  readonly kinds: Uint8Array;
}

/**
 * `readState` of DESIGN section 2: the content of blocks as they were when epoch `since` began. The first epoch from
 * there on that changed a block has its before-image, or nobody has; a block that none changed is read from the
 * device, and the maps are looked at again afterwards, because it may have been written meanwhile: its mark comes
 * before its data. Call it inside `history.readers`, so that no epoch is merged away under it.
 */
export class StateReader {
  constructor(
    readonly device: File,
    readonly history: History,
    readonly since: number,
  ) {}

  /** Reads `count` blocks from `start` on. Rejects with FileError when the device cannot be read. */
  async read(start: number, count: number): Promise<StateBlocks> {
    const { blockSize } = this.history.surroundings;
    const blocks: StateBlocks = {
      content: Buffer.allocUnsafe(count * blockSize),
      kinds: new Uint8Array(count),
    };
    const isDone = new Uint8Array(count);
    await this.#takeBeforeImages(start, blocks, isDone);
    for (let at = 0; at < count;) {
      if (isDone[at] === 1) {
        at++;
        continue;
      }
      let end = at + 1;
      while (end < count && isDone[end] === 0) end++;
      await this.device.read(
        blocks.content.subarray(at * blockSize, end * blockSize),
        (start + at) * blockSize,
      );
      at = end;
    }
    await this.#takeBeforeImages(start, blocks, isDone);
    for (let i = 0; i < count; i++) {
      if (blocks.kinds[i] !== BLOCK_DATA) continue;
      if (isZero(blocks.content.subarray(i * blockSize, (i + 1) * blockSize))) blocks.kinds[i] = BLOCK_ZERO;
    }
    return blocks;
  }

  /** Answers those blocks that are not done and have changed, from the first epoch that changed them. */
  async #takeBeforeImages(start: number, blocks: StateBlocks, isDone: Uint8Array): Promise<void> {
    const count = isDone.length;
    for (let at = 0; at < count;) {
      const epoch = isDone[at] === 1 ? undefined : this.#changedIn(start + at);
      if (epoch === undefined) {
        at++;
        continue;
      }
      const slot = epoch.before.find(start + at);
      let end = at + 1;
      while (
        end < count &&
        isDone[end] === 0 &&
        slot >= 0 &&
        epoch.before.find(start + end) === slot + end - at &&
        this.#changedIn(start + end) === epoch
      ) {
        end++;
      }
      if (slot === BEFORE_ZERO) blocks.kinds[at] = BLOCK_ZERO;
      else if (slot === BEFORE_ABSENT) blocks.kinds[at] = BLOCK_UNAVAILABLE;
      else await this.#readSlots(epoch, slot, blocks, at, end);
      isDone.fill(1, at, end);
      at = end;
    }
  }

  #changedIn(block: number): Epoch | undefined {
    return this.history.since(this.since).find((epoch) => epoch.map.has(block));
  }

  async #readSlots(epoch: Epoch, slot: number, blocks: StateBlocks, from: number, to: number): Promise<void> {
    const { blockSize } = this.history.surroundings;
    try {
      await epoch.before.read(slot, blocks.content.subarray(from * blockSize, to * blockSize));
    } catch (error) {
      if (!isFileError(error)) throw error;
      blocks.kinds.fill(BLOCK_UNAVAILABLE, from, to);
      return;
    }
    for (let i = from; i < to; i++) {
      const bytes = blocks.content.subarray(i * blockSize, (i + 1) * blockSize);
      if (!epoch.before.isIntact(slot + i - from, bytes)) blocks.kinds[i] = BLOCK_UNAVAILABLE;
    }
  }
}
