import type { Clock } from '../platform/clock.js';
import type { File } from '../platform/files.js';
import { BlockLock } from './block-lock.js';
import type { Epoch } from './epoch.js';
import type { History } from './history.js';
import { FirstWrites, type ComingWrite } from './first-writes.js';
import { Holes } from './holes.js';
import type { Hold, HotExtents } from './hot-extents.js';
import type { Keeping } from './keeping.js';
import { yieldToLoop } from './yield-to-loop.js';
import { zeros } from './zero.js';

/** Bytes of a write that are dealt with at a time. */
const SLICE_BYTES = 1 << 20;
/** Bytes of a range that is to read as zeros, when nothing of it has to be saved. */
const FREE_SLICE_BYTES = 64 << 20;
/** Old content that is read and saved in one go, keeping the thread; twice as much at the most, since writes lie across blocks. */
const SAVED_AT_ONCE_BYTES = 64 << 10;
/** The same of what nothing has to be saved: it goes to the kernel's memory for less than handing it to another thread. */
const AT_ONCE_BYTES = 256 << 10;
/** A long write that took longer was held back by the kernel, which has too much that is not on the disk yet. */
const HELD_BACK_MILLIS = 5;
/** So many long writes then leave the thread to others, before it is tried again. */
const LEFT_TO_OTHERS = 64;
/**
 * How much of the budget TRIM may fill: it is advice, and what it frees is mostly deleted files, so it must not push
 * out what a travelling set needs.
 */
const TRIM_SHARE = 0.25;

export interface ZeroOptions {
  /** Keep the space allocated. */
  readonly noHole: boolean;
  /** TRIM: may be left undone. */
  readonly isAdvice: boolean;
}

/**
 * The one way by which a volume is written. For each block, at its first write in the open epoch: what it held is
 * saved, if anybody may ask (content, then index entry), the block is marked, and only then the new data go to the
 * device. A before-image that cannot be had costs the state, never the write.
 */
export class BlockWriter {
  readonly lock: BlockLock<Epoch>;
  readonly #firstWrites: FirstWrites;
  readonly #holes: Holes;
  readonly #scratch = Buffer.allocUnsafe(2 * SAVED_AT_ONCE_BYTES);
  #canPunch: boolean;
  #leftToOthers = 0;

  constructor(
    readonly device: File,
    readonly history: History,
    readonly hot: HotExtents,
    readonly keeping: Keeping,
    readonly clock: Clock,
  ) {
    this.lock = new BlockLock(() => history.open);
    this.#holes = new Holes(device, history, this.lock);
    this.#firstWrites = new FirstWrites(device, history, hot, this.lock, this.#holes);
    this.#canPunch = !device.isBlockDevice;
  }

  /**
   * These writes follow within this tick: does together what is to be done before the first ones among them, and answers
   * whether there were any.
   */
  announce(writes: readonly ComingWrite[]): boolean {
    return this.#firstWrites.prepare(writes);
  }

  /**
   * Writes at once, within this tick, or answers false: too large, in the way of a write that is under way, or where
   * nothing is hot yet.
   * Throws FileError when the device does.
   */
  writeAtOnce(offset: number, from: Uint8Array): boolean {
    if (from.length > AT_ONCE_BYTES) return false;
    const isLong = from.length > SAVED_AT_ONCE_BYTES;
    if (isLong && this.#leftToOthers > 0) {
      this.#leftToOthers--;
      return false;
    }
    const { start, end } = this.#blocksOf(offset, from.length);
    if (this.lock.isBusy(start, end)) return false;
    const epoch = this.history.open;
    const isMarked = epoch.map.covers(start, end);
    const isSaved = !isMarked && this.history.wantsBeforeImages;
    if (isSaved && (end - start) * this.#blockSize > this.#scratch.length) return false;
    if (!this.hot.touch(offset, from.length)) return false;
    if (isSaved) this.#saveAtOnce(epoch, start, end);
    if (!isMarked) epoch.map.mark(start, end);
    if (isLong) this.#writeLong(from, offset);
    else this.device.writeSync(from, offset);
    epoch.countWritten(from.length);
    return true;
  }

  #writeLong(from: Uint8Array, offset: number): void {
    const began = this.clock.now();
    this.device.writeSync(from, offset);
    if (this.clock.now() - began > HELD_BACK_MILLIS) this.#leftToOthers = LEFT_TO_OTHERS;
  }

  /** Writes in slices. Rejects with FileError when the device fails; what was written by then stays. */
  async write(offset: number, from: Uint8Array): Promise<void> {
    const { start, end } = this.#blocksOf(offset, from.length);
    const held = await this.lock.enter(start, end);
    try {
      await this.#writeHeld(held.epoch, offset, from);
      held.epoch.countWritten(from.length);
    } finally {
      held.leave();
    }
  }

  /** Makes a range read as zeros, as a hole where that is allowed and can be; what is a hole costs nothing. */
  async zero(offset: number, length: number, options: ZeroOptions): Promise<void> {
    if (options.isAdvice && !this.#canPunch) return;
    const { start, end } = this.#blocksOf(offset, length);
    const wholeStart = Math.ceil(offset / this.#blockSize) * this.#blockSize;
    const wholeEnd = Math.floor((offset + length) / this.#blockSize) * this.#blockSize;
    const held = await this.lock.enter(start, end);
    try {
      if (wholeEnd <= wholeStart) {
        if (!options.isAdvice) await this.#writeHeld(held.epoch, offset, Buffer.alloc(length));
        return;
      }
      if (!options.isAdvice) {
        await this.#writeHeld(held.epoch, offset, Buffer.alloc(wholeStart - offset));
        await this.#writeHeld(held.epoch, wholeEnd, Buffer.alloc(offset + length - wholeEnd));
      }
      await this.#zeroHeld(held.epoch, wholeStart, wholeEnd, options);
    } finally {
      held.leave();
    }
  }

  get #blockSize(): number {
    return this.history.surroundings.blockSize;
  }

  #blocksOf(offset: number, length: number): { start: number; end: number } {
    return {
      start: Math.floor(offset / this.#blockSize),
      end: Math.ceil((offset + length) / this.#blockSize),
    };
  }

  async #writeHeld(epoch: Epoch, offset: number, from: Uint8Array): Promise<void> {
    const slice = Math.max(SLICE_BYTES, this.#blockSize);
    for (let done = 0; done < from.length;) {
      const at = offset + done;
      // Cut where blocks end, so that no block is looked at twice.
      const length = Math.min(from.length - done, slice - (at % this.#blockSize));
      const { start, end } = this.#blocksOf(at, length);
      await this.#whileHot(at, length, async () => {
        await this.#saveAndMark(epoch, start, end);
        await this.device.write(from.subarray(done, done + length), at);
      });
      done += length;
    }
  }

  async #zeroHeld(epoch: Epoch, from: number, to: number, options: ZeroOptions): Promise<void> {
    for (let at = from; at < to;) {
      await yieldToLoop();
      let until = to;
      if (!options.noHole) {
        const data = await this.device.nextData(at);
        if (data === null || data.start >= to) return;
        at = Math.max(at, Math.floor(data.start / this.#blockSize) * this.#blockSize);
        until = Math.min(to, Math.ceil(data.end / this.#blockSize) * this.#blockSize);
      }
      const { start } = this.#blocksOf(at, 0);
      const isFree = !this.history.wantsBeforeImages || epoch.map.covers(start, until / this.#blockSize);
      until = Math.min(until, at + Math.max(isFree ? FREE_SLICE_BYTES : SLICE_BYTES, this.#blockSize));
      const isDone = await this.#whileHot(at, until - at, () => this.#zeroSlice(epoch, at, until, options));
      if (!isDone && options.isAdvice) return;
      at = until;
    }
  }

  /** Answers false where advice was not followed. */
  async #zeroSlice(epoch: Epoch, from: number, to: number, options: ZeroOptions): Promise<boolean> {
    const [start, end] = [from / this.#blockSize, to / this.#blockSize];
    const isSaved = await this.#saveAndMark(epoch, start, end, options.isAdvice);
    if (!isSaved || this.#punch(from, to - from, options)) return true;
    if (options.isAdvice) return false;
    await this.#writeZeros(from, to);
    return true;
  }

  async #whileHot<T>(offset: number, length: number, work: () => Promise<T>): Promise<T> {
    const hold: Hold = await this.hot.hold(offset, length);
    try {
      return await work();
    } finally {
      hold.release();
    }
  }

  #punch(position: number, length: number, { noHole }: ZeroOptions): boolean {
    if (noHole || !this.#canPunch) return false;
    this.#canPunch = this.device.punchSync(position, length);
    return this.#canPunch;
  }

  async #writeZeros(from: number, to: number): Promise<void> {
    for (let at = from; at < to; at += SLICE_BYTES) {
      await this.device.write(zeros(Math.min(SLICE_BYTES, to - at)), at);
    }
  }

  #saveAtOnce(epoch: Epoch, start: number, end: number): void {
    for (const [from, to] of unchangedRuns(epoch, start, end)) {
      if (this.#holes.covers(epoch, from, to)) continue;
      const content = this.#scratch.subarray(0, (to - from) * this.#blockSize);
      try {
        this.device.readSync(content, from * this.#blockSize);
      } catch (error) {
        this.keeping.lost(epoch, from, to, error);
        continue;
      }
      this.keeping.keepAtOnce(epoch, from, content);
    }
  }

  /**
   * Saves what is needed of `start … end-1`, a slice at the most, and marks it. Where saving fails the blocks are
   * marked all the same; with `isAdvice` nothing is done instead, and the answer is false.
   */
  async #saveAndMark(epoch: Epoch, start: number, end: number, isAdvice = false): Promise<boolean> {
    if (epoch.map.covers(start, end)) return true;
    if (this.history.wantsBeforeImages) {
      for (const [from, to] of unchangedRuns(epoch, start, end)) {
        if (this.#holes.covers(epoch, from, to)) continue;
        const content = Buffer.allocUnsafe((to - from) * this.#blockSize);
        try {
          await this.device.read(content, from * this.#blockSize);
        } catch (error) {
          if (isAdvice) return false;
          this.keeping.lost(epoch, from, to, error);
          continue;
        }
        if (!isAdvice) await this.keeping.keep(epoch, from, content);
        else if (!(await this.keeping.keepIfEasy(epoch, from, content, TRIM_SHARE))) return false;
      }
    }
    epoch.map.mark(start, end);
    return true;
  }
}

/** The runs of blocks of `start … end-1` that have not changed in the epoch. */
function* unchangedRuns(epoch: Epoch, start: number, end: number): Generator<readonly [number, number]> {
  for (let at = epoch.map.nextUnchanged(start, end); at < end;) {
    const until = epoch.map.nextChanged(at, end);
    yield [at, until];
    at = epoch.map.nextUnchanged(until, end);
  }
}
