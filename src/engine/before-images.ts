import { crc32 } from 'node:zlib';
import { FileError, type File } from '../platform/files.js';
import { BeforeEntries, eachEntry, ENTRY_BYTES } from './before-entries.js';
import { Bitmap } from './bitmap.js';
import type { Budget } from './budget.js';
import { NO_SLOT, SlotTable } from './slot-table.js';
import { isZero } from './zero.js';

/*
 * The before-images of an epoch: what blocks held when it began.
 *
 *   `epoch-<n>.before`   content, `blockSize` bytes a slot; slots are given out in order and never again
 *   `epoch-<n>.index`    a log of entries (before-entries.ts): block, count, slot, CRC-32 of the content
 *
 * An entry is one block in a slot (count 1), or `count` blocks from `block` on that were zeros (slot 2^32 - 1, no
 * content), or `count` blocks whose before-images have been given up (slot 2^32 - 2): those are absent, wherever that
 * entry stands. An entry that is torn, wrong, or names a slot past the end of the content is absent, and the content of
 * a slot counts only if its CRC-32 fits. Content is written before its entry. If a block has several entries, they hold
 * the same; the last one counts.
 */

/** Entries read at a time when a log is loaded. */
const LOAD_ENTRIES = 16384;

/** In an entry: the before-images are given up, and the space of their slots is given back. */
const GONE_SLOT = 0xffff_fffe;

/** Where a before-image is: a slot number, zeros without a slot, or nowhere. */
export const BEFORE_ZERO = -1;
export const BEFORE_ABSENT = -2;

interface Piece {
  readonly slot: number;
  readonly bytes: Uint8Array;
}

/** Blocks that have slots but no entries yet. */
interface Prepared {
  readonly pieces: readonly Piece[];
  readonly entries: BeforeEntries;
  readonly slotStart: number;
  readonly slotEnd: number;
}

export interface BeforeGeometry {
  readonly epoch: number;
  readonly blockSize: number;
  readonly blocks: number;
}

export class BeforeImages {
  readonly #slots = new SlotTable();
  readonly #zero: Bitmap;
  /** Blocks whose before-images have been given up. */
  readonly #gone: Bitmap;
  #checks = new Uint32Array(1024);
  /** The block in each slot. */
  #blocks = new Uint32Array(1024);
  #nextSlot = 0;
  #indexEnd = 0;
  #counted = 0;
  /** For what is saved within one tick. */
  readonly #entries: BeforeEntries;

  private constructor(
    readonly data: File,
    readonly index: File,
    readonly geometry: BeforeGeometry,
    readonly budget: Budget,
  ) {
    this.#zero = new Bitmap(geometry.blocks);
    this.#gone = new Bitmap(geometry.blocks);
    this.#entries = new BeforeEntries(geometry.epoch);
  }

  /** Takes two files, empty or left by an earlier process, and reads the index. Space in use counts at once. */
  static async load(
    data: File,
    index: File,
    geometry: BeforeGeometry,
    budget: Budget,
  ): Promise<BeforeImages> {
    const images = new BeforeImages(data, index, geometry, budget);
    await images.#loadIndex();
    return images;
  }

  /** Bytes these before-images hold of the budget. */
  get bytes(): number {
    return this.#counted;
  }

  get isEmpty(): boolean {
    return this.#slots.size === 0 && this.#zero.count === 0;
  }

  /** A slot number, `BEFORE_ZERO` or `BEFORE_ABSENT`. */
  find(block: number): number {
    if (this.#gone.has(block)) return BEFORE_ABSENT;
    const slot = this.#slots.get(block);
    if (slot === GONE_SLOT) return BEFORE_ABSENT;
    if (slot !== NO_SLOT) return slot;
    return this.#zero.has(block) ? BEFORE_ZERO : BEFORE_ABSENT;
  }

  /** Are all of `start … end-1` zeros without a slot. */
  areZeros(start: number, end: number): boolean {
    for (let block = start; block < end; block++) {
      if (!this.#zero.has(block) || this.find(block) !== BEFORE_ZERO) return false;
    }
    return true;
  }

  /**
   * Saves `content`, the old content of these blocks, one after the other: content first, then entries. Answers false,
   * and saves nothing, if that would use more than `share` of the budget. Throws FileError; then nothing is saved either.
   *
   * @param blocks ascending
   */
  saveSync(blocks: readonly number[], content: Uint8Array, share: number): boolean {
    this.#entries.clear();
    const prepared = this.#prepare(blocks, content, share, this.#entries);
    if (prepared === null) return false;
    try {
      for (const { slot, bytes } of prepared.pieces)
        this.data.writeSync(bytes, slot * this.geometry.blockSize);
      this.#enter(prepared.entries);
    } catch (error) {
      this.#takeBack(prepared);
      throw error;
    }
    return true;
  }

  /** As `saveSync` for the blocks from `start` on, without blocking the thread for the content. `content` is not kept. */
  async save(start: number, content: Uint8Array, share: number): Promise<boolean> {
    const prepared = this.#prepareFrom(start, content, share);
    if (prepared === null) return false;
    try {
      for (const { slot, bytes } of prepared.pieces)
        await this.data.write(bytes, slot * this.geometry.blockSize);
      this.#enter(prepared.entries);
    } catch (error) {
      this.#takeBack(prepared);
      throw error;
    }
    return true;
  }

  /**
   * Copies in what another epoch's before-images hold, for a merge. It does not count yet: when the other ones go,
   * `count` the bytes answered.
   */
  async copyIn(start: number, content: Uint8Array): Promise<number> {
    const prepared = this.#prepareFrom(start, content, null);
    if (prepared === null) return 0;
    for (const { slot, bytes } of prepared.pieces)
      await this.data.write(bytes, slot * this.geometry.blockSize);
    this.#enter(prepared.entries);
    return (prepared.slotEnd - prepared.slotStart) * this.geometry.blockSize;
  }

  /** Notes `start … start+count-1` as zeros at the epoch's start. Throws FileError. */
  saveZeros(start: number, count: number): void {
    this.#enterOne(start, count, NO_SLOT);
  }

  /** Slots that have been given out; `blockIn` answers for those below. */
  get slotEnd(): number {
    return this.#nextSlot;
  }

  /** The block whose before-image is in a slot; null: none is, or not yet. */
  blockIn(slot: number): number | null {
    const block = this.#blocks[slot];
    return block !== undefined && this.#slots.get(block) === slot && !this.#gone.has(block) ? block : null;
  }

  /**
   * Gives up what is in these slots, ascending, and gives their space back to the budget and to the disk; answers the
   * bytes. Each is absent from now on, also if it fails half way or the process is killed: what has no entry that
   * says so does not fit its CRC-32 any more.
   */
  forget(slots: readonly number[]): number {
    const { blockSize } = this.geometry;
    const given = slots.filter((slot) => this.blockIn(slot) !== null);
    const entries = new BeforeEntries(this.geometry.epoch);
    given.forEach((slot) => {
      const block = this.blockIn(slot) ?? 0;
      entries.add(block, 1, GONE_SLOT, 0);
      // Readers under way may still see the zeros of the hole, which must not pass.
      this.#checks[slot] = ~(this.#checks[slot] ?? 0) >>> 0;
      this.#slots.set(block, GONE_SLOT);
    });
    const bytes = Math.min(this.#counted, given.length * blockSize);
    this.budget.give(bytes);
    this.#counted -= bytes;
    try {
      // The hole first: on a full disk it makes room for the entries.
      for (const [from, to] of runsOf(given)) this.data.punchSync(from * blockSize, (to - from) * blockSize);
      this.index.writeSync(entries.bytes, this.#indexEnd);
      this.#indexEnd += entries.bytes.length;
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
    }
    return bytes;
  }

  /** What was saved of these blocks is not trusted any more, nor what may be found of it later. Throws FileError. */
  distrust(start: number, end: number): void {
    this.#enterOne(start, end - start, GONE_SLOT);
  }

  count(bytes: number): void {
    this.budget.force(bytes);
    this.#counted += bytes;
  }

  /** Reads the slots from `slot` on into `into`. Throws FileError; check each block with `isIntact`. */
  read(slot: number, into: Uint8Array): Promise<void> {
    return this.data.read(into, slot * this.geometry.blockSize);
  }

  /** Is `bytes` what was once saved in this slot. */
  isIntact(slot: number, bytes: Uint8Array): boolean {
    return crc32(bytes) === this.#checks[slot];
  }

  async sync(): Promise<void> {
    await this.data.sync();
    await this.index.sync();
  }

  /** Forgets everything, durably. No save may be under way. */
  async drop(): Promise<void> {
    this.release();
    this.#slots.clear();
    this.#zero.clear();
    this.#gone.clear();
    await this.index.truncate(0);
    await this.index.sync();
    await this.data.truncate(0);
    this.#indexEnd = 0;
    this.#nextSlot = 0;
  }

  /** Gives the space back to the budget, before the files are removed. */
  release(): void {
    this.budget.give(this.#counted);
    this.#counted = 0;
  }

  #takeBack({ slotStart, slotEnd }: Prepared): void {
    const bytes = (slotEnd - slotStart) * this.geometry.blockSize;
    this.budget.give(bytes);
    this.#counted -= bytes;
    if (this.#nextSlot === slotEnd) this.#nextSlot = slotStart;
  }

  #prepareFrom(start: number, content: Uint8Array, share: number | null): Prepared | null {
    const count = content.length / this.geometry.blockSize;
    const blocks = Array.from({ length: count }, (_, i) => start + i);
    return this.#prepare(blocks, content, share, new BeforeEntries(this.geometry.epoch));
  }

  /** Gives slots out; null if they do not fit into `share` of the budget. `share` null: not counted. */
  #prepare(
    blocks: readonly number[],
    content: Uint8Array,
    share: number | null,
    entries: BeforeEntries,
  ): Prepared | null {
    const { blockSize } = this.geometry;
    const zero = blocks.map((_, i) => isZero(content, i * blockSize, (i + 1) * blockSize));
    if (share !== null) {
      const bytes = zero.reduce((sum, is) => (is ? sum : sum + blockSize), 0);
      if (!this.budget.take(bytes, share)) return null;
      this.#counted += bytes;
    }
    const slotStart = this.#nextSlot;
    const pieces: Piece[] = [];
    for (let at = 0; at < blocks.length;) {
      const start = blocks[at] as number;
      const isHole = zero[at] === true;
      let end = at + 1;
      while (end < blocks.length && zero[end] === isHole && !(isHole && blocks[end] !== start + end - at))
        end++;
      if (isHole) {
        entries.add(start, end - at, NO_SLOT, 0);
      } else {
        pieces.push({ slot: this.#nextSlot, bytes: content.subarray(at * blockSize, end * blockSize) });
        for (let i = at; i < end; i++) {
          const check = crc32(content.subarray(i * blockSize, (i + 1) * blockSize));
          entries.add(blocks[i] as number, 1, this.#nextSlot++, check);
        }
      }
      at = end;
    }
    return { pieces, entries, slotStart, slotEnd: this.#nextSlot };
  }

  #enterOne(start: number, count: number, slot: number): void {
    this.#entries.clear();
    this.#entries.add(start, count, slot, 0);
    this.#enter(this.#entries);
  }

  #enter({ bytes }: BeforeEntries): void {
    this.index.writeSync(bytes, this.#indexEnd);
    this.#indexEnd += bytes.length;
    eachEntry(bytes, null, (block, count, slot, check) => {
      this.#takeEntry(block, count, slot, check, GONE_SLOT);
    });
  }

  /**
   * Takes an entry up; one of a slot at or past `slotLimit` is not, but its slot is not given out again. After a power
   * cut or on a full disk two blocks may come to claim one slot: then neither has it, for the check of a slot's content
   * is kept once.
   */
  #takeEntry(block: number, count: number, slot: number, check: number, slotLimit: number): void {
    if (count === 0 || block + count > this.geometry.blocks) return;
    if (slot === NO_SLOT) this.#zero.add(block, block + count);
    else if (slot === GONE_SLOT) this.#gone.add(block, block + count);
    else this.#takeSlot(block, slot, check, slotLimit);
  }

  #takeSlot(block: number, slot: number, check: number, slotLimit: number): void {
    const owner = this.blockIn(slot);
    if (owner !== null && owner !== block) {
      this.#gone.add(owner, owner + 1);
      this.#gone.add(block, block + 1);
      return;
    }
    if (slot < slotLimit) this.#setSlot(block, slot, check);
    else this.#nextSlot = Math.max(this.#nextSlot, slot + 1);
  }

  #setSlot(block: number, slot: number, check: number): void {
    this.#slots.set(block, slot);
    if (slot >= this.#checks.length) {
      this.#checks = grown(this.#checks, slot + 1);
      this.#blocks = grown(this.#blocks, slot + 1);
    }
    this.#checks[slot] = check;
    this.#blocks[slot] = block;
  }

  async #loadIndex(): Promise<void> {
    const dataBytes = await this.data.size();
    const wholeSlots = Math.floor(dataBytes / this.geometry.blockSize);
    this.#nextSlot = Math.ceil(dataBytes / this.geometry.blockSize);
    const size = await this.index.size();
    // A torn last entry is overwritten: nothing after it counts on its place.
    this.#indexEnd = Math.floor(size / ENTRY_BYTES) * ENTRY_BYTES;
    for (let at = 0; at < this.#indexEnd;) {
      const part = Buffer.alloc(Math.min(LOAD_ENTRIES * ENTRY_BYTES, this.#indexEnd - at));
      await this.index.read(part, at);
      eachEntry(part, this.geometry.epoch, (block, count, slot, check) => {
        this.#takeEntry(block, count, slot, check, wholeSlots);
      });
      at += part.length;
    }
    // What has no entry is not counted: given up, or never finished.
    let used = 0;
    for (let slot = 0; slot < this.#nextSlot; slot++) if (this.blockIn(slot) !== null) used++;
    this.count(used * this.geometry.blockSize);
  }
}

function grown(table: Uint32Array<ArrayBuffer>, atLeast: number): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(Math.max(atLeast, table.length * 2));
  larger.set(table);
  return larger;
}

/** The runs of numbers that follow each other. */
function* runsOf(ascending: readonly number[]): Generator<readonly [from: number, to: number]> {
  for (let at = 0; at < ascending.length;) {
    const from = ascending[at] ?? 0;
    let to = from;
    while (ascending[at] === to) {
      to++;
      at++;
    }
    yield [from, to];
  }
}
