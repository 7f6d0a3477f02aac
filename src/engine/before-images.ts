import { crc32 } from 'node:zlib';
import { FileError, type File } from '../platform/files.js';
import { Bitmap } from './bitmap.js';
import type { Budget } from './budget.js';
import { NO_SLOT, SlotTable } from './slot-table.js';
import { isZero } from './zero.js';

/*
 * The before-images of an epoch: what blocks held when it began.
 *
 *   `epoch-<n>.before`   content, `blockSize` bytes a slot; slots are given out in order and never again
 *   `epoch-<n>.index`    a log of 20-byte entries, five u32 LE: block, count, slot, CRC-32 of the content, check
 *
 * An entry is one block in a slot (count 1), or `count` blocks from `block` on that were zeros (slot 2^32 - 1, no
 * content), or `count` blocks whose before-images have been given up (slot 2^32 - 2): those are absent, wherever that
 * entry stands. The check is a CRC-32 of the first 16 bytes that starts at the epoch's number, so an entry of another
 * epoch does not pass. An entry that is torn, wrong, or names a slot past the end of the content is absent, and the
 * content of a slot counts only if its CRC-32 fits. Content is written before its entry. If a block has several
 * entries, they hold the same; the last one counts.
 */

const ENTRY_BYTES = 20;
const CHECKED_BYTES = 16;
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
  readonly entries: Buffer;
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

  private constructor(
    readonly data: File,
    readonly index: File,
    readonly geometry: BeforeGeometry,
    readonly budget: Budget,
  ) {
    this.#zero = new Bitmap(geometry.blocks);
    this.#gone = new Bitmap(geometry.blocks);
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

  /**
   * Saves `content`, the old content of the blocks from `start` on, content first, then entries. Answers false, and
   * saves nothing, if that would use more than `share` of the budget. Throws FileError; then nothing is saved either.
   */
  saveSync(start: number, content: Uint8Array, share: number): boolean {
    const prepared = this.#prepare(start, content, share);
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

  /** As `saveSync`, without blocking the thread for the content. `content` is not kept. */
  async save(start: number, content: Uint8Array, share: number): Promise<boolean> {
    const prepared = this.#prepare(start, content, share);
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
    const prepared = this.#prepare(start, content, null);
    if (prepared === null) return 0;
    for (const { slot, bytes } of prepared.pieces)
      await this.data.write(bytes, slot * this.geometry.blockSize);
    this.#enter(prepared.entries);
    return (prepared.slotEnd - prepared.slotStart) * this.geometry.blockSize;
  }

  /** Notes `start … start+count-1` as zeros at the epoch's start. Throws FileError. */
  saveZeros(start: number, count: number): void {
    const entry = Buffer.alloc(ENTRY_BYTES);
    this.#writeEntry(entry, 0, start, count, NO_SLOT, 0);
    this.#enter(entry);
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
    const entries = Buffer.alloc(given.length * ENTRY_BYTES);
    given.forEach((slot, i) => {
      const block = this.blockIn(slot) ?? 0;
      this.#writeEntry(entries, i * ENTRY_BYTES, block, 1, GONE_SLOT, 0);
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
      this.index.writeSync(entries, this.#indexEnd);
      this.#indexEnd += entries.byteLength;
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
    }
    return bytes;
  }

  /** What was saved of these blocks is not trusted any more, nor what may be found of it later. Throws FileError. */
  distrust(start: number, end: number): void {
    const entry = Buffer.alloc(ENTRY_BYTES);
    this.#writeEntry(entry, 0, start, end - start, GONE_SLOT, 0);
    this.#enter(entry);
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

  /** Gives slots out; null if they do not fit into `share` of the budget. `share` null: not counted. */
  #prepare(start: number, content: Uint8Array, share: number | null): Prepared | null {
    const { blockSize } = this.geometry;
    const blocks = content.byteLength / blockSize;
    const zero = Array.from({ length: blocks }, (_, i) =>
      isZero(content.subarray(i * blockSize, (i + 1) * blockSize)),
    );
    if (share !== null) {
      const bytes = zero.filter((is) => !is).length * blockSize;
      if (!this.budget.take(bytes, share)) return null;
      this.#counted += bytes;
    }
    const slotStart = this.#nextSlot;
    const pieces: Piece[] = [];
    const entries = Buffer.alloc(blocks * ENTRY_BYTES);
    let entryEnd = 0;
    for (let at = 0; at < blocks;) {
      let end = at + 1;
      while (end < blocks && zero[end] === zero[at]) end++;
      if (zero[at] === true) {
        this.#writeEntry(entries, entryEnd, start + at, end - at, NO_SLOT, 0);
        entryEnd += ENTRY_BYTES;
      } else {
        pieces.push({ slot: this.#nextSlot, bytes: content.subarray(at * blockSize, end * blockSize) });
        for (let i = at; i < end; i++) {
          const check = crc32(content.subarray(i * blockSize, (i + 1) * blockSize));
          this.#writeEntry(entries, entryEnd, start + i, 1, this.#nextSlot++, check);
          entryEnd += ENTRY_BYTES;
        }
      }
      at = end;
    }
    return { pieces, entries: entries.subarray(0, entryEnd), slotStart, slotEnd: this.#nextSlot };
  }

  #writeEntry(into: Buffer, at: number, block: number, count: number, slot: number, check: number): void {
    into.writeUInt32LE(block, at);
    into.writeUInt32LE(count, at + 4);
    into.writeUInt32LE(slot, at + 8);
    into.writeUInt32LE(check, at + 12);
    into.writeUInt32LE(crc32(into.subarray(at, at + CHECKED_BYTES), this.geometry.epoch), at + CHECKED_BYTES);
  }

  #enter(entries: Buffer): void {
    this.index.writeSync(entries, this.#indexEnd);
    this.#indexEnd += entries.byteLength;
    this.#takeEntries(entries, GONE_SLOT);
  }

  /**
   * Takes good entries up; those of slots at or past `slotLimit` are not, but their slots are not given out again.
   * After a power cut or on a full disk two blocks may come to claim one slot: then neither has it, for the check of a
   * slot's content is kept once.
   */
  #takeEntries(entries: Buffer, slotLimit: number): void {
    for (let at = 0; at + ENTRY_BYTES <= entries.byteLength; at += ENTRY_BYTES) {
      const check = crc32(entries.subarray(at, at + CHECKED_BYTES), this.geometry.epoch);
      if (check !== entries.readUInt32LE(at + CHECKED_BYTES)) continue;
      const block = entries.readUInt32LE(at);
      const count = entries.readUInt32LE(at + 4);
      const slot = entries.readUInt32LE(at + 8);
      if (count === 0 || block + count > this.geometry.blocks) continue;
      if (slot === NO_SLOT) this.#zero.add(block, block + count);
      else if (slot === GONE_SLOT) this.#gone.add(block, block + count);
      else this.#takeSlot(block, slot, entries.readUInt32LE(at + 12), slotLimit);
    }
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
      this.#takeEntries(part, wholeSlots);
      at += part.byteLength;
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
