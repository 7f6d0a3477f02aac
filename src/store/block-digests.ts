import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { Range } from '../../protocol/ranges.js';
import { idHex } from '../../protocol/units.js';
import { FileError, type File, type Files } from '../platform/files.js';
import { SerialQueue } from '../platform/serial-queue.js';
import { Batch } from './batch.js';
import { isZero } from './block-content.js';
import { entryCheck, ENTRY_BYTES, NotedPage, PAGE_BYTES, PAGE_ENTRIES } from './digest-page.js';
import { isUnreadable, readBlocks } from './readable-blocks.js';
import { clearRange, nextDataFrom } from './sparse-file.js';

const NAME = 'digests';
const MAGIC = Buffer.from('FARCOPYD');
const VERSION = 1;
/** magic 8, version u32, block size u32, id 16, CRC u32; the entries begin at the second page. */
const HEADER_BYTES = 36;
const ENTRIES_AT = PAGE_BYTES;

/** Pages noted before they are written: 5 MB of memory at the most. */
const MAX_NOTED = 1024;
/** Blocks of zeros that are noted one by one; of more, whole pages are given back to the file system. */
const FEW_BLOCKS = 8 * PAGE_ENTRIES;

/** What is read and written together, where neighbours are wanted too. */
const WINDOW_PAGES = 16;
const WINDOW_ENTRIES = WINDOW_PAGES * PAGE_ENTRIES;

export interface DigestsIdentity {
  /** 128 random bits as hex: `volume.json` names the digests that are in step with it. */
  readonly id: string;
  readonly blockSize: number;
}

/** A block that is not what was noted of it. `unknown`: what was noted fails its own check, so nothing is known of the block. */
export interface BlockFault {
  readonly block: number;
  readonly kind: 'rotten' | 'unknown';
}

/**
 * What each block of an image should hold, in the file `digests` beside it: 8 bytes a block, the CRC-32 of its content and
 * a check of that number and its place. A block of zeros has an entry of zeros, so that the file is as sparse as the image.
 *
 * An entry is written without regard to its neighbours: whoever does the same writes again, after whatever crash, makes
 * the same entries. So digests need no order of their own: they are synced before whatever says that the image is.
 */
export class BlockDigests {
  readonly #file: File;
  readonly #key: number;
  readonly #queue = new SerialQueue();
  #size: number;
  #noted = new Map<number, NotedPage>();
  #window: { readonly first: number; readonly entries: Buffer } | null = null;
  /** Rises with each change of the file: what was read before it is not kept. */
  #changes = 0;

  private constructor(
    readonly identity: DigestsIdentity,
    file: File,
    size: number,
    /** Every block of the image was noted. */
    public isComplete: boolean,
  ) {
    this.#file = file;
    this.#size = size;
    this.#key = Number.parseInt(identity.id.slice(0, 8), 16);
  }

  /** New ones that say that all is zeros, in the place of those before; durable when it resolves. */
  static async create(
    files: Files,
    folder: string,
    identity: DigestsIdentity,
    isComplete: boolean,
  ): Promise<BlockDigests> {
    const header = Buffer.alloc(ENTRIES_AT);
    MAGIC.copy(header);
    header.writeUInt32LE(VERSION, 8);
    header.writeUInt32LE(identity.blockSize, 12);
    header.write(identity.id, 16, 'hex');
    header.writeUInt32LE(crc32(header.subarray(0, HEADER_BYTES - 4)), HEADER_BYTES - 4);
    const path = join(folder, NAME);
    await files.replace(path, header);
    return new BlockDigests(identity, await files.open(path, 'read-write'), header.byteLength, isComplete);
  }

  /** Those of this identity, which were complete when it was written down; null: they are not there, or not to be read. */
  static async open(files: Files, folder: string, identity: DigestsIdentity): Promise<BlockDigests | null> {
    let file: File | null = null;
    try {
      file = await files.open(join(folder, NAME), 'read-write');
      const size = await file.size();
      const header = Buffer.alloc(HEADER_BYTES);
      if (size >= ENTRIES_AT) await file.read(header, 0);
      if (isHeaderOf(header, identity)) return new BlockDigests(identity, file, size, true);
    } catch (cause) {
      if (!(cause instanceof FileError)) throw cause;
    }
    await file?.close();
    return null;
  }

  /** Whole blocks of this content are being written at a byte position. Not on the disk before `flush`. */
  note(content: Uint8Array, position: number): void {
    const { blockSize } = this.identity;
    const first = position / blockSize;
    if (!Number.isInteger(first) || content.byteLength % blockSize !== 0) {
      throw new RangeError(`${content.byteLength} bytes at ${position} are not whole blocks`);
    }
    for (let at = 0; at < content.byteLength; at += blockSize) {
      this.#noteOne(first + at / blockSize, digestOf(content.subarray(at, at + blockSize)));
    }
  }

  /** So much is noted that it is to be written before more is. */
  get isCrowded(): boolean {
    return this.#noted.size >= MAX_NOTED;
  }

  /** A range of whole blocks, in bytes, is being made zeros. */
  async clear(range: Range): Promise<void> {
    const { blockSize } = this.identity;
    const [start, end] = [range.start / blockSize, range.end / blockSize];
    if (end - start <= FEW_BLOCKS) {
      for (let block = start; block < end; block++) this.#noteOne(block, 0);
      if (this.isCrowded) await this.flush();
      return;
    }
    const firstWhole = Math.ceil(start / PAGE_ENTRIES);
    const lastWhole = Math.floor(end / PAGE_ENTRIES);
    for (let block = start; block < firstWhole * PAGE_ENTRIES; block++) this.#noteOne(block, 0);
    for (let block = lastWhole * PAGE_ENTRIES; block < end; block++) this.#noteOne(block, 0);
    await this.flush();
    await this.#queue.run(async () => {
      const until = Math.min(this.#size, ENTRIES_AT + lastWhole * PAGE_BYTES);
      await clearRange(this.#file, { start: ENTRIES_AT + firstWhole * PAGE_BYTES, end: until });
      this.#forgetWindow();
    });
  }

  /** Writes what was noted. After a failure what was noted is unknown: it is to be written, and noted, again. */
  flush(): Promise<void> {
    return this.#queue.run(async () => {
      const noted = [...this.#noted].sort(([a], [b]) => a - b);
      this.#noted = new Map();
      const runs = runsOf(noted);
      const writes = new Batch();
      try {
        for (const { first, pages } of runs) {
          writes.add(this.#write(first, pages), pages.length * PAGE_BYTES);
          if (writes.isFull) await writes.done();
        }
      } finally {
        await writes.done().finally(() => this.#forgetWindow());
      }
    });
  }

  async sync(): Promise<void> {
    await this.flush();
    await this.#file.sync();
  }

  /**
   * The blocks of `content`, which was read from `start` on, that are not what was noted; ascending. At once where the
   * digests are at hand: of scattered blocks a promise for each would cost more than the check.
   */
  check(start: number, content: Uint8Array): readonly BlockFault[] | Promise<readonly BlockFault[]> {
    const entries = this.#entries(start, content.byteLength / this.identity.blockSize);
    return entries instanceof Promise
      ? entries.then((loaded) => this.#faults(start, content, loaded))
      : this.#faults(start, content, entries);
  }

  /** The same of blocks that were found to be zeros; what is zeros here too costs nothing. */
  async checkZeros(start: number, end: number): Promise<readonly BlockFault[]> {
    const faults: BlockFault[] = [];
    for (let at = start; at < end;) {
      const noted = await this.nextNoted(at);
      if (noted === null || noted.start >= end) break;
      const until = Math.min(noted.end, end, noted.start + PAGE_ENTRIES);
      const entries = await this.#entries(noted.start, until - noted.start);
      for (let block = noted.start; block < until; block++) {
        const kind = verdict(block, entries, block - noted.start, 0, this.#key);
        if (kind !== 'good') faults.push({ block, kind });
      }
      at = until;
    }
    return faults;
  }

  /** The first blocks at or after `from` of which something other than zeros may be noted; null: there are none. */
  async nextNoted(from: number): Promise<Range | null> {
    const position = ENTRIES_AT + from * ENTRY_BYTES;
    const data = position < this.#size ? await nextDataFrom(this.#file, position) : null;
    if (data === null) return null;
    return {
      start: Math.floor((data.start - ENTRIES_AT) / ENTRY_BYTES),
      end: Math.ceil((data.end - ENTRIES_AT) / ENTRY_BYTES),
    };
  }

  /** The digest noted of a block; 0: zeros; null: what is noted fails its own check. */
  async digest(block: number): Promise<number | null> {
    const entries = await this.#entries(block, 1);
    const noted = entries.readUInt32LE(0);
    return isEntry(block, noted, entries.readUInt32LE(4), this.#key) ? noted : null;
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  #forgetWindow(): void {
    this.#window = null;
    this.#changes++;
  }

  #faults(start: number, content: Uint8Array, entries: Buffer): readonly BlockFault[] {
    const { blockSize } = this.identity;
    const faults: BlockFault[] = [];
    for (let i = 0; i * blockSize < content.byteLength; i++) {
      const found = digestOf(content.subarray(i * blockSize, (i + 1) * blockSize));
      const kind = verdict(start + i, entries, i, found, this.#key);
      if (kind !== 'good') faults.push({ block: start + i, kind });
    }
    return faults;
  }

  #noteOne(block: number, digest: number): void {
    const number = Math.floor(block / PAGE_ENTRIES);
    let page = this.#noted.get(number);
    if (page === undefined) this.#noted.set(number, (page = new NotedPage()));
    page.note(block % PAGE_ENTRIES, digest, digest === 0 ? 0 : entryCheck(block, digest, this.#key));
  }

  /** Entries that stand alone are written without a look at the page, unless the disk has to look and cannot. */
  async #write(first: number, pages: readonly NotedPage[]): Promise<void> {
    const at = ENTRIES_AT + first * PAGE_BYTES;
    const run = pages.length === 1 ? pages[0]?.onlyRun : null;
    if (run == null) return this.#writePages(at, pages);
    try {
      await this.#put(run.bytes, at + run.start * ENTRY_BYTES);
    } catch (cause) {
      if (!isUnreadable(cause)) throw cause;
      await this.#writePages(at, pages);
    }
  }

  async #writePages(at: number, pages: readonly NotedPage[]): Promise<void> {
    const held = Buffer.alloc(pages.length * PAGE_BYTES);
    const known = Math.min(held.byteLength, this.#size - at);
    if (known > 0) await this.#read(held.subarray(0, known), at);
    const changed = pages.map((page, place) =>
      page.mergeInto(held.subarray(place * PAGE_BYTES, (place + 1) * PAGE_BYTES)),
    );
    const start = changed.indexOf(true);
    if (start < 0) return;
    const end = changed.lastIndexOf(true) + 1;
    await this.#put(held.subarray(start * PAGE_BYTES, end * PAGE_BYTES), at + start * PAGE_BYTES);
  }

  async #put(bytes: Uint8Array, position: number): Promise<void> {
    await this.#file.write(bytes, position);
    this.#size = Math.max(this.#size, position + bytes.byteLength);
  }

  /** At least the entries from `start` on, at the front of what is returned: a view, not to be kept. */
  #entries(start: number, count: number): Buffer | Promise<Buffer> {
    const first = Math.floor(start / WINDOW_ENTRIES) * WINDOW_ENTRIES;
    const last = Math.ceil((start + count) / WINDOW_ENTRIES) * WINDOW_ENTRIES;
    const window = this.#window;
    const isHere = window?.first === first && window.entries.byteLength >= (last - first) * ENTRY_BYTES;
    return isHere
      ? window.entries.subarray((start - first) * ENTRY_BYTES)
      : this.#load(first, last).then((entries) => entries.subarray((start - first) * ENTRY_BYTES));
  }

  /** Whole pages as they are on the disk; entries that it does not give any more fail their check. */
  async #read(into: Buffer, at: number): Promise<void> {
    const places = await readBlocks(into, PAGE_BYTES, (part, place) =>
      this.#file.read(part, at + place * PAGE_BYTES),
    );
    for (const place of places) into.subarray(place * PAGE_BYTES, (place + 1) * PAGE_BYTES).fill(0xff);
  }

  /** Entries of whole windows. */
  async #load(first: number, last: number): Promise<Buffer> {
    const entries = Buffer.alloc((last - first) * ENTRY_BYTES);
    const at = ENTRIES_AT + first * ENTRY_BYTES;
    const known = Math.min(entries.byteLength, this.#size - at);
    const changes = this.#changes;
    if (known > 0) await this.#read(entries.subarray(0, known), at);
    if (changes === this.#changes) this.#window = { first, entries };
    return entries;
  }
}

interface PageRun {
  readonly first: number;
  readonly pages: NotedPage[];
}

/** Pages, ascending, as runs of those that follow each other. */
function runsOf(noted: readonly (readonly [number, NotedPage])[]): readonly PageRun[] {
  const runs: PageRun[] = [];
  for (const [number, page] of noted) {
    const last = runs.at(-1);
    const follows = last !== undefined && last.first + last.pages.length === number;
    if (follows && last.pages.length < WINDOW_PAGES) last.pages.push(page);
    else runs.push({ first: number, pages: [page] });
  }
  return runs;
}

/** Of a block's content; 0: it is zeros. */
export const digestOf = (content: Uint8Array): number => (isZero(content) ? 0 : crc32(content) || 1);

const isEntry = (block: number, noted: number, check: number, key: number): boolean =>
  noted === 0 ? check === 0 : check === entryCheck(block, noted, key);

function verdict(
  block: number,
  entries: Buffer,
  place: number,
  found: number,
  key: number,
): 'good' | BlockFault['kind'] {
  const noted = entries.readUInt32LE(place * ENTRY_BYTES);
  const check = entries.readUInt32LE(place * ENTRY_BYTES + 4);
  if (!isEntry(block, noted, check, key)) return 'unknown';
  return noted === found ? 'good' : 'rotten';
}

const isHeaderOf = (header: Buffer, { id, blockSize }: DigestsIdentity): boolean =>
  header.subarray(0, 8).equals(MAGIC) &&
  header.readUInt32LE(8) === VERSION &&
  header.readUInt32LE(12) === blockSize &&
  idHex(header.subarray(16, 32)) === id &&
  header.readUInt32LE(HEADER_BYTES - 4) === crc32(header.subarray(0, HEADER_BYTES - 4));
