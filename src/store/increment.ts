import { crc32 } from 'node:zlib';
import { idBytes, idHex, type StateId } from '../../protocol/units.js';
import type { File, Files } from '../platform/files.js';
import { isZero, SLICE_BYTES } from './block-content.js';
import { RottenBlocks } from './errors.js';
import { isUnreadable } from './readable-blocks.js';
import { RunTable, RunTableBuilder, RUN_BYTES, ZERO_SLOT } from './run-table.js';
import { damagedFile } from './sealed-record.js';

/**
 * A reverse increment: the blocks of a state that the apply of the next one replaced. In the file: a header (page 0),
 * the old blocks that are not zeros, one after the other, then the table of runs and a CRC-32 of each old block.
 * The header goes in last, so a file that was not finished has none. A block that was found rotten when it was saved has
 * its CRC with all bits flipped (`damaged`).
 */
const MAGIC = Buffer.from('FARCOPYI');
const VERSION = 1;
/** magic 8, version u32, block size u32, older state 16, newer state 16, slots u64, runs u64, CRC of index, CRC. */
const HEADER_BYTES = 72;
const DATA_AT = 4096;

/** Which two states an increment lies between: it leads from `newer` back to `older`. */
export interface IncrementBounds {
  readonly older: StateId;
  readonly newer: StateId;
  readonly blockSize: number;
}

/** Writes a new increment file, block by block in ascending order. */
export class IncrementWriter {
  readonly #table = new RunTableBuilder();
  readonly #checksums: number[] = [];
  #gathered: Uint8Array[] = [];
  #gatheredBytes = 0;
  #writtenBytes = 0;

  readonly #file: File;

  private constructor(
    readonly bounds: IncrementBounds,
    file: File,
  ) {
    this.#file = file;
  }

  static async create(files: Files, path: string, bounds: IncrementBounds): Promise<IncrementWriter> {
    return new IncrementWriter(bounds, await files.open(path, 'create-new'));
  }

  addZeros(start: number, count: number): void {
    this.#table.add(start, count, ZERO_SLOT);
  }

  /** Keeps the blocks `start …` whose content is `bytes`, which the writer then owns. */
  async add(start: number, bytes: Uint8Array): Promise<void> {
    const { blockSize } = this.bounds;
    for (let at = 0; at < bytes.byteLength; at += blockSize) {
      const block = bytes.subarray(at, at + blockSize);
      const index = start + at / blockSize;
      if (isZero(block)) {
        this.addZeros(index, 1);
        continue;
      }
      this.#table.add(index, 1, this.#checksums.length);
      this.#checksums.push(crc32(block));
      this.#gathered.push(block);
      this.#gatheredBytes += blockSize;
    }
    if (this.#gatheredBytes >= SLICE_BYTES) await this.#flush();
  }

  /** Keeps one block that is not what the state held, so that whoever reads it is told. */
  async addDamaged(block: number, bytes: Uint8Array): Promise<void> {
    this.#table.add(block, 1, this.#checksums.length);
    this.#checksums.push(flipped(crc32(bytes)));
    this.#gathered.push(bytes);
    this.#gatheredBytes += bytes.byteLength;
    if (this.#gatheredBytes >= SLICE_BYTES) await this.#flush();
  }

  /** Whole and synced when it resolves (the folder's entry is the caller's to sync). */
  async finish(): Promise<void> {
    await this.#flush();
    const table = this.#table.finish();
    const checksums = Buffer.alloc(this.#checksums.length * 4);
    this.#checksums.forEach((checksum, slot) => checksums.writeUInt32LE(checksum, slot * 4));
    const index = Buffer.concat([table.encode(), checksums]);
    const indexAt = DATA_AT + this.#writtenBytes;
    await this.#file.truncate(indexAt + index.byteLength);
    await this.#file.write(index, indexAt);

    const header = Buffer.alloc(HEADER_BYTES);
    MAGIC.copy(header);
    header.writeUInt32LE(VERSION, 8);
    header.writeUInt32LE(this.bounds.blockSize, 12);
    header.set(idBytes(this.bounds.older), 16);
    header.set(idBytes(this.bounds.newer), 32);
    header.writeBigUInt64LE(BigInt(this.#checksums.length), 48);
    header.writeBigUInt64LE(BigInt(table.length), 56);
    header.writeUInt32LE(crc32(index), 64);
    header.writeUInt32LE(crc32(header.subarray(0, HEADER_BYTES - 4)), HEADER_BYTES - 4);
    await this.#file.write(header, 0);
    await this.#file.sync();
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  async #flush(): Promise<void> {
    if (this.#gatheredBytes === 0) return;
    await this.#file.write(Buffer.concat(this.#gathered), DATA_AT + this.#writtenBytes);
    this.#writtenBytes += this.#gatheredBytes;
    this.#gathered = [];
    this.#gatheredBytes = 0;
  }
}

/** Checksums of so many blocks are read at once (16 KiB). */
const CHECKSUMS_A_PAGE = 4096;

/** An increment open for reading. It holds its file and a page of checksums; the table is read when asked for. */
export class Increment {
  readonly #file: File;
  readonly #header: IncrementHeader;
  #page = { slot: 0, bytes: Buffer.alloc(0) };

  private constructor(
    readonly path: string,
    file: File,
    header: IncrementHeader,
  ) {
    this.#file = file;
    this.#header = header;
  }

  /** `damaged` if the file is not the increment that leads back to `older`. Its table is still to be checked. */
  static async open(files: Files, path: string, older: StateId): Promise<Increment> {
    const file = await files.open(path, 'read');
    try {
      const size = await file.size();
      const bytes = Buffer.alloc(HEADER_BYTES);
      if (size >= HEADER_BYTES) await file.read(bytes, 0);
      const header = decodeHeader(bytes);
      if (header === null || size !== header.indexAt + header.runBytes + header.slots * 4) {
        throw damagedFile(path, 'its header is wrong');
      }
      if (idHex(bytes.subarray(16, 32)) !== older) throw damagedFile(path, 'it belongs to another state');
      return new Increment(path, file, header);
    } catch (cause) {
      await file.close();
      throw cause;
    }
  }

  get blockSize(): number {
    return this.#header.blockSize;
  }

  /** Old blocks it keeps, zeros not counted. */
  get slots(): number {
    return this.#header.slots;
  }

  /** Which blocks it keeps, and where; checks the checksums of the blocks too. 12 bytes a run, the caller's. */
  async readTable(): Promise<RunTable> {
    const { indexAt, runBytes, slots, indexChecksum } = this.#header;
    const index = Buffer.alloc(runBytes + slots * 4);
    await this.#file.read(index, indexAt);
    if (crc32(index) !== indexChecksum) throw damagedFile(this.path, 'its table is wrong');
    return RunTable.decode(index.subarray(0, runBytes));
  }

  /** Fills `into` with the whole blocks kept at `slot …`; `RottenBlocks` if one is not what its state held. */
  async read(slot: number, into: Uint8Array): Promise<void> {
    const [first] = await this.readAnyhow(slot, into);
    if (first === undefined) return;
    const why = first.kind === 'marked' ? 'had rotted in the image when it was saved' : 'is wrong';
    throw new RottenBlocks(`${this.path}: old block ${slot + first.place} ${why}`);
  }

  /**
   * The same, telling by their place in `into` the blocks that are not what their state held: `marked` when they were
   * saved, or `rotten` since.
   */
  async readAnyhow(slot: number, into: Uint8Array): Promise<readonly WrongBlock[]> {
    const { blockSize } = this.#header;
    await this.#file.read(into, DATA_AT + slot * blockSize);
    const wrong: WrongBlock[] = [];
    for (let place = 0; place * blockSize < into.byteLength; place++) {
      const found = crc32(into.subarray(place * blockSize, (place + 1) * blockSize));
      const known = this.#checksum(slot + place);
      // What the disk does not give proves nothing: then the block is there, and not to be believed.
      const wanted = typeof known === 'number' ? known : await known.catch(nullIfUnreadable);
      if (wanted === null) wrong.push({ place, kind: 'rotten' });
      else if (found !== wanted) wrong.push({ place, kind: flipped(found) === wanted ? 'marked' : 'rotten' });
    }
    return wrong;
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  #checksum(slot: number): number | Promise<number> {
    const { slot: first, bytes } = this.#page;
    const at = (slot - first) * 4;
    return at >= 0 && at < bytes.byteLength ? bytes.readUInt32LE(at) : this.#turnPage(slot);
  }

  async #turnPage(slot: number): Promise<number> {
    const { indexAt, runBytes, slots } = this.#header;
    const bytes = Buffer.alloc(Math.min(CHECKSUMS_A_PAGE, slots - slot) * 4);
    await this.#file.read(bytes, indexAt + runBytes + slot * 4);
    this.#page = { slot, bytes };
    return bytes.readUInt32LE(0);
  }
}

/** A block that is not what its state held, by its place among those read. */
export interface WrongBlock {
  readonly place: number;
  readonly kind: 'marked' | 'rotten';
}

function nullIfUnreadable(cause: unknown): null {
  if (isUnreadable(cause)) return null;
  throw cause;
}

const flipped = (checksum: number): number => ~checksum >>> 0;

interface IncrementHeader {
  readonly blockSize: number;
  readonly slots: number;
  readonly runBytes: number;
  /** Where the table begins in the file. */
  readonly indexAt: number;
  readonly indexChecksum: number;
}

/** null if the bytes are not a header of ours. */
function decodeHeader(bytes: Buffer): IncrementHeader | null {
  if (
    !bytes.subarray(0, 8).equals(MAGIC) ||
    bytes.readUInt32LE(8) !== VERSION ||
    bytes.readUInt32LE(HEADER_BYTES - 4) !== crc32(bytes.subarray(0, HEADER_BYTES - 4))
  ) {
    return null;
  }
  const blockSize = bytes.readUInt32LE(12);
  const slots = Number(bytes.readBigUInt64LE(48));
  const runBytes = Number(bytes.readBigUInt64LE(56)) * RUN_BYTES;
  const indexAt = DATA_AT + slots * blockSize;
  return { blockSize, slots, runBytes, indexAt, indexChecksum: bytes.readUInt32LE(64) };
}
