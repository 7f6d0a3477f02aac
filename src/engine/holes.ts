import type { File } from '../platform/files.js';
import { BITMAP_PAGE_BITS } from './bitmap.js';
import type { BlockLock } from './block-lock.js';
import { isFileError, type Epoch } from './epoch.js';
import type { History } from './history.js';

/** Blocks around a first write that are noted with it where they lie in the same hole: a page of a bitmap, 128 MiB. */
const NEIGHBOURHOOD = BITMAP_PAGE_BITS;
/** How many first writes at the most are not asked for after one that did not lie in a hole. */
const MOST_UNASKED = 255;

/**
 * What lies in a hole of the device's file is zeros, and need be neither read nor saved. It is noted as zeros in the epoch's
 * index, for the neighbourhood at once, so that the first writes to the rest of it find it noted.
 *
 * A note says what blocks held when the epoch began. Of a block in a hole that is known if the epoch has not changed it,
 * and no write of an earlier epoch is unfinished there: the lock tells, and then only the blocks asked for are noted, which
 * the asking write has to itself.
 */
export class Holes {
  /** First writes that are not asked for any more, and how many after the next one that lies in no hole. */
  #unasked = 0;
  #pause = 0;

  constructor(
    readonly device: File,
    readonly history: History,
    readonly lock: BlockLock<Epoch>,
  ) {}

  /**
   * Are `start … end-1` noted as zeros at the beginning of `epoch`, now at the latest. Within one tick. They have not changed
   * in it, and nobody else may write them.
   */
  covers(epoch: Epoch, start: number, end: number): boolean {
    if (epoch.before.areZeros(start, end)) return true;
    if (this.#unasked > 0) {
      this.#unasked--;
      return false;
    }
    const hole = this.#around(epoch, start, end);
    this.#pause = hole === null ? Math.min(2 * this.#pause + 1, MOST_UNASKED) : 0;
    this.#unasked = this.#pause;
    if (hole === null) return false;
    try {
      epoch.before.saveZeros(hole.start, hole.end - hole.start);
    } catch (error) {
      if (!isFileError(error)) throw error;
      return false;
    }
    return epoch.before.areZeros(start, end);
  }

  /** What of the neighbourhood is to be noted with `start … end-1`; null: those do not lie in a hole. */
  #around(epoch: Epoch, start: number, end: number): { start: number; end: number } | null {
    const { blocks } = this.history.surroundings;
    const holeEnd = this.#nextData(start);
    if (holeEnd < end) return null;
    const first = start - (start % NEIGHBOURHOOD);
    const isFirstIn = epoch.map.nextChanged(first, start) === start && this.#nextData(first) >= end;
    const from = isFirstIn ? first : start;
    const to = epoch.map.nextChanged(end, Math.max(end, Math.min(holeEnd, first + NEIGHBOURHOOD, blocks)));
    return this.lock.isBusy(from, to) ? { start, end } : { start: from, end: to };
  }

  /** The first block at or after one that may hold data; -1: cannot be told. */
  #nextData(block: number): number {
    const { blockSize } = this.history.surroundings;
    const at = this.device.nextDataSync?.(block * blockSize) ?? null;
    return at === null ? -1 : Math.floor(at / blockSize);
  }
}
