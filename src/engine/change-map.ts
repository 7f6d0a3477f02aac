import { crc32 } from 'node:zlib';
import type { File } from '../platform/files.js';
import { Bitmap, BITMAP_PAGE_BITS, BITMAP_PAGE_BYTES } from './bitmap.js';

/*
 * The change map of an epoch: one bit a block, 1 = "written in this epoch".
 *
 * It never forgets on doubt. A mark that should not be there costs bandwidth; one that is missing costs data. So
 * everything that can go wrong ends as "changed":
 *
 *   file `epoch-<n>.map`   byte 0 … 4095  header; the byte at 64 is the flag "all"
 *                          byte 4096 …    the bits, bit i in byte 4096 + (i >> 3), as 1 << (i & 7); sparse
 *
 *   exact     flag 0       the bits say which blocks changed
 *   unsaved   flag 1       a mark could not be written: memory is exact, the file is not, so whoever loads the file
 *                          must take the whole epoch as changed; ends when a later `save` gets every page written
 *   all       flag 1       the whole epoch counts as changed, for good
 *
 * The flag lies in a block of the file that exists from the start, so it can still be set when the disk is full.
 * Loaded as `all`: a set flag, a bad header, a file that is missing, too short, or cannot be read.
 * The bit is on in memory and in the file before the block's new data are handed to the device.
 */

const HEADER_BYTES = 4096;
const HEADER_CHECKED = 48;
const FLAG_POSITION = 64;
const MAGIC = 'farcopy change map 1\n';

export interface MapGeometry {
  /** Number of the epoch the map belongs to. */
  readonly epoch: number;
  readonly blockSize: number;
  /** Blocks in the volume now. */
  readonly blocks: number;
}

/** A mark could not be written. `isFlagged`: the file says so itself, and whoever loads it takes all as changed. */
export type UnsavedMark = (error: unknown, isFlagged: boolean) => void;

export class ChangeMap {
  readonly #bits: Bitmap;
  readonly #unsaved = new Set<number>();
  #all = false;

  private constructor(
    readonly file: File,
    readonly geometry: MapGeometry,
    /** Called once when marks begin to be unsaved. */
    readonly onUnsaved: UnsavedMark,
  ) {
    this.#bits = new Bitmap(geometry.blocks);
  }

  /** Makes an empty map in an empty file; `all`: as one that is in doubt from the start. */
  static async create(
    file: File,
    geometry: MapGeometry,
    onUnsaved: UnsavedMark,
    all = false,
  ): Promise<ChangeMap> {
    const map = new ChangeMap(file, geometry, onUnsaved);
    map.#all = all;
    await file.truncate(0);
    await map.#writeHeader();
    return map;
  }

  /** Loads a map. Whatever is wrong with the file ends as `all`; blocks past the file's old end are clear. */
  static async load(file: File, geometry: MapGeometry, onUnsaved: UnsavedMark): Promise<ChangeMap> {
    const map = new ChangeMap(file, geometry, onUnsaved);
    try {
      const header = new Uint8Array(HEADER_BYTES);
      await file.read(header, 0);
      const blocks = readHeader(header, geometry);
      if (blocks === null || (await file.size()) < fileSize(blocks)) return await ChangeMap.#doubted(map);
      map.#all = header[FLAG_POSITION] !== 0;
      await map.#loadBits(fileSize(blocks));
      if (blocks < geometry.blocks) await map.#writeHeader();
      return map;
    } catch {
      return await ChangeMap.#doubted(map);
    }
  }

  static #doubted(map: ChangeMap): Promise<ChangeMap> {
    return ChangeMap.create(map.file, map.geometry, map.onUnsaved, true);
  }

  /** The whole epoch counts as changed. */
  get all(): boolean {
    return this.#all;
  }

  /** Whether the file lacks marks that memory has. */
  get isUnsaved(): boolean {
    return this.#unsaved.size > 0;
  }

  /** How many blocks count as changed. */
  get count(): number {
    return this.#all ? this.geometry.blocks : this.#bits.count;
  }

  has(block: number): boolean {
    return this.#all || this.#bits.has(block);
  }

  /** Does every block of `start … end-1` count as changed. */
  covers(start: number, end: number): boolean {
    return this.#all || this.#bits.covers(start, end);
  }

  /** First changed block at or after `from`, below `limit`; `limit` if there is none. */
  nextChanged(from: number, limit: number): number {
    return this.#all ? Math.min(from, limit) : this.#bits.nextSet(from, limit);
  }

  /** First unchanged block at or after `from`, below `limit`; `limit` if there is none. */
  nextUnchanged(from: number, limit: number): number {
    return this.#all ? limit : this.#bits.nextClear(from, limit);
  }

  /**
   * Marks `start … end-1`, in memory and in the file, before it returns. Never fails: what cannot be written is
   * remembered as unsaved, with the flag where that can still be written.
   */
  mark(start: number, end: number): void {
    if (this.covers(start, end)) return;
    this.#bits.add(start, end);
    for (let number = Math.floor(start / BITMAP_PAGE_BITS); number * BITMAP_PAGE_BITS < end; number++) {
      const pageStart = number * BITMAP_PAGE_BITS;
      const first = (Math.max(start, pageStart) - pageStart) >>> 3;
      const last = (Math.min(end, pageStart + BITMAP_PAGE_BITS) - 1 - pageStart) >>> 3;
      this.#keepMarks(number, first, last);
    }
  }

  /** As `mark`, for blocks that need not lie together, ascending: one write for those of a page. */
  markEach(blocks: readonly number[]): void {
    if (this.#all) return;
    for (let at = 0; at < blocks.length;) {
      const first = blocks[at] as number;
      const number = Math.floor(first / BITMAP_PAGE_BITS);
      const pageStart = number * BITMAP_PAGE_BITS;
      let last = first;
      for (; at < blocks.length; at++) {
        const block = blocks[at] as number;
        if (block >= pageStart + BITMAP_PAGE_BITS) break;
        this.#bits.add(block, block + 1);
        last = block;
      }
      this.#keepMarks(number, (first - pageStart) >>> 3, (last - pageStart) >>> 3);
    }
  }

  /** From now on the whole epoch counts as changed. Resolves when that is on stable storage. */
  async markAll(): Promise<void> {
    this.#all = true;
    this.file.writeSync(Uint8Array.of(1), FLAG_POSITION);
    await this.file.sync();
  }

  /**
   * Writes what is unsaved and syncs. Fails if the map is then not on stable storage, neither as bits nor as the
   * flag; the map counts as unsaved as a whole then.
   */
  async save(): Promise<void> {
    for (const number of [...this.#unsaved]) {
      try {
        this.#writePage(number, 0, BITMAP_PAGE_BYTES);
        this.#unsaved.delete(number);
      } catch {
        this.file.writeSync(Uint8Array.of(1), FLAG_POSITION);
      }
    }
    try {
      await this.file.sync();
      if (this.isUnsaved || this.#all) return;
      const flag = new Uint8Array(1);
      this.file.readSync(flag, FLAG_POSITION);
      if (flag[0] === 0) return;
      this.file.writeSync(Uint8Array.of(0), FLAG_POSITION);
      await this.file.sync();
    } catch (error) {
      // After a failed sync the kernel may have dropped any of the pages: write them all again next time.
      const pages = Math.ceil(this.geometry.blocks / BITMAP_PAGE_BITS);
      for (let number = 0; number < pages; number++) {
        if (this.#bits.page(number) !== undefined) this.#notWritten(number, error);
      }
      throw error;
    }
  }

  /** Writes the bytes `first … last` of a page; all of it if marks of it are unsaved. */
  #keepMarks(number: number, first: number, last: number): void {
    try {
      if (this.#unsaved.has(number)) this.#writePage(number, 0, BITMAP_PAGE_BYTES);
      else this.#writePage(number, first, last + 1);
      this.#unsaved.delete(number);
    } catch (error) {
      this.#notWritten(number, error);
    }
  }

  #notWritten(number: number, error: unknown): void {
    const first = this.#unsaved.size === 0;
    this.#unsaved.add(number);
    if (!first) return;
    let isFlagged = true;
    try {
      this.file.writeSync(Uint8Array.of(1), FLAG_POSITION);
    } catch {
      // Then nothing can be written there at all; `save` fails until it can, so no state is sealed meanwhile.
      isFlagged = false;
    }
    this.onUnsaved(error, isFlagged);
  }

  #writePage(number: number, from: number, to: number): void {
    const page = this.#bits.page(number);
    if (page === undefined) return;
    this.file.writeSync(page.subarray(from, to), HEADER_BYTES + number * BITMAP_PAGE_BYTES + from);
  }

  async #writeHeader(): Promise<void> {
    const header = Buffer.alloc(HEADER_BYTES);
    header.write(MAGIC, 0, 'latin1');
    header.writeUInt32LE(this.geometry.epoch, 32);
    header.writeUInt32LE(this.geometry.blockSize, 36);
    header.writeBigUInt64LE(BigInt(this.geometry.blocks), 40);
    header.writeUInt32LE(crc32(header.subarray(0, HEADER_CHECKED)), HEADER_CHECKED);
    header[FLAG_POSITION] = this.#all ? 1 : 0;
    await this.file.truncate(fileSize(this.geometry.blocks));
    await this.file.write(header, 0);
  }

  async #loadBits(size: number): Promise<void> {
    for (let at = HEADER_BYTES; at < size;) {
      const data = await this.file.nextData(at);
      if (data === null || data.start >= size) return;
      const first = Math.floor((Math.max(data.start, at) - HEADER_BYTES) / BITMAP_PAGE_BYTES);
      const last = Math.ceil((Math.min(data.end, size) - HEADER_BYTES) / BITMAP_PAGE_BYTES);
      for (let number = first; number < last; number++) {
        const page = new Uint8Array(BITMAP_PAGE_BYTES);
        const position = HEADER_BYTES + number * BITMAP_PAGE_BYTES;
        await this.file.read(page.subarray(0, Math.min(BITMAP_PAGE_BYTES, size - position)), position);
        if (page.some((byte) => byte !== 0)) this.#bits.adoptPage(number, page);
      }
      at = HEADER_BYTES + last * BITMAP_PAGE_BYTES;
    }
  }
}

const fileSize = (blocks: number): number => HEADER_BYTES + Math.ceil(blocks / 8);

/** The number of blocks a good header tells; null for a bad one, or one of more blocks than there are. */
function readHeader(bytes: Uint8Array, geometry: MapGeometry): number | null {
  const header = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const blocks = Number(header.readBigUInt64LE(40));
  const good =
    header.toString('latin1', 0, MAGIC.length) === MAGIC &&
    header.readUInt32LE(HEADER_CHECKED) === crc32(header.subarray(0, HEADER_CHECKED)) &&
    header.readUInt32LE(32) === geometry.epoch &&
    header.readUInt32LE(36) === geometry.blockSize &&
    blocks <= geometry.blocks;
  return good ? blocks : null;
}
