import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { BLOCK_DIGEST_BYTES, blockDigest } from '../../protocol/parcel/set-digest.js';
import type { ParcelContent } from '../../protocol/parcel/parcel.js';
import { byteCount, idBytes, idHex, parcelId } from '../../protocol/units.js';
import type { File, Files } from '../platform/files.js';
import { breathe, isZero, SLICE_BYTES } from './block-content.js';
import { RunTable, RunTableBuilder, RUN_BYTES, ZERO_SLOT } from './run-table.js';
import { damagedFile } from './sealed-record.js';
import type { ParcelAnnouncement } from './volume-store.js';

const MAGIC = Buffer.from('FARCOPYP');
const VERSION = 1;
/**
 * magic 8, version u32, sequence u32, set id 16, parcel id 16, length u64, digest 32, block size u32, runs u32,
 * slots u32, placed u32, CRC of table and digests u32, zeros to 124, CRC of the header u32.
 */
const HEADER_BYTES = 128;

/** A checked parcel, ready to be kept: which blocks, and where their content is in `content`. */
export interface DecodedParcel {
  readonly table: RunTable;
  /** Digest of each block of `content`, `BLOCK_DIGEST_BYTES` each. */
  readonly digests: Uint8Array;
  readonly content: Uint8Array;
}

export interface ParcelFileHead {
  readonly announcement: ParcelAnnouncement;
  readonly sequence: number;
  readonly setId: string;
  readonly blockSize: number;
  /** The content is in the image already (a first copy), not in this file. */
  readonly placed: boolean;
}

/** Digests the blocks of a parcel a slice at a time; blocks of zeros become zero runs whatever they were sent as. */
export async function digestBlocks({ blockSize, runs, content }: ParcelContent): Promise<DecodedParcel> {
  const builder = new RunTableBuilder();
  const digests = new Uint8Array((content.byteLength / blockSize) * BLOCK_DIGEST_BYTES);
  let slot = 0;
  let sinceBreath = 0;
  for (const run of runs) {
    if (run.zero) {
      builder.add(run.start, run.count, ZERO_SLOT);
      continue;
    }
    for (let i = 0; i < run.count; i++, slot++) {
      const block = content.subarray(slot * blockSize, (slot + 1) * blockSize);
      digests.set(blockDigest(block), slot * BLOCK_DIGEST_BYTES);
      builder.add(run.start + i, 1, isZero(block) ? ZERO_SLOT : slot);
      sinceBreath += blockSize;
      if (sinceBreath >= SLICE_BYTES) {
        sinceBreath = 0;
        await breathe();
      }
    }
  }
  return { table: builder.finish(), digests, content };
}

/** `parcelDigest` a slice at a time. */
export async function digestInSlices(serialized: Uint8Array): Promise<Uint8Array> {
  const hash = createHash('sha256');
  for (let at = 0; at < serialized.byteLength; at += SLICE_BYTES) {
    hash.update(serialized.subarray(at, at + SLICE_BYTES));
    await breathe();
  }
  return hash.digest();
}

/** Keeps a decoded parcel as `path`, whole and synced when it resolves. */
export async function writeParcelFile(
  files: Files,
  path: string,
  head: ParcelFileHead,
  { table, digests, content }: DecodedParcel,
): Promise<void> {
  const header = Buffer.alloc(HEADER_BYTES);
  const index = table.encode();
  MAGIC.copy(header);
  header.writeUInt32LE(VERSION, 8);
  header.writeUInt32LE(head.sequence, 12);
  header.write(head.setId, 16, 'hex');
  header.set(idBytes(head.announcement.id), 32);
  header.writeBigUInt64LE(BigInt(head.announcement.length), 48);
  header.set(head.announcement.digest, 56);
  header.writeUInt32LE(head.blockSize, 88);
  header.writeUInt32LE(table.length, 92);
  header.writeUInt32LE(digests.byteLength / BLOCK_DIGEST_BYTES, 96);
  header.writeUInt32LE(head.placed ? 1 : 0, 100);
  header.writeUInt32LE(crc32(digests, crc32(index)), 104);
  header.writeUInt32LE(crc32(header.subarray(0, HEADER_BYTES - 4)), HEADER_BYTES - 4);
  await files.replace(
    path,
    Buffer.concat([header, index, digests, head.placed ? new Uint8Array() : content]),
  );
}

/** Checked content of the blocks `slot … endSlot-1`. */
interface Window {
  readonly slot: number;
  readonly endSlot: number;
  readonly bytes: Uint8Array;
}

/** A decoded parcel in the capture buffer, open for reading. Everything it hands out was checked. */
export class ParcelFile {
  readonly #digests: Uint8Array;
  readonly #file: File;
  readonly #contentAt: number;
  #window: Window = { slot: 0, endSlot: 0, bytes: new Uint8Array() };

  private constructor(
    readonly path: string,
    readonly head: ParcelFileHead,
    readonly table: RunTable,
    readonly slots: number,
    digests: Uint8Array,
    file: File,
    contentAt: number,
  ) {
    this.#digests = digests;
    this.#file = file;
    this.#contentAt = contentAt;
  }

  /** `damaged` if the header or the table is not what was written. */
  static async open(files: Files, path: string): Promise<ParcelFile> {
    const file = await files.open(path, 'read');
    try {
      const size = await file.size();
      const header = Buffer.alloc(HEADER_BYTES);
      if (size >= HEADER_BYTES) await file.read(header, 0);
      if (
        !header.subarray(0, 8).equals(MAGIC) ||
        header.readUInt32LE(8) !== VERSION ||
        header.readUInt32LE(HEADER_BYTES - 4) !== crc32(header.subarray(0, HEADER_BYTES - 4))
      ) {
        throw damagedFile(path, 'its header is wrong');
      }
      const head: ParcelFileHead = {
        announcement: {
          id: parcelId(idHex(header.subarray(32, 48))),
          length: byteCount(Number(header.readBigUInt64LE(48))),
          digest: Uint8Array.from(header.subarray(56, 88)),
        },
        sequence: header.readUInt32LE(12),
        setId: idHex(header.subarray(16, 32)),
        blockSize: header.readUInt32LE(88),
        placed: header.readUInt32LE(100) === 1,
      };
      const tableBytes = header.readUInt32LE(92) * RUN_BYTES;
      const slots = header.readUInt32LE(96);
      const index = Buffer.alloc(tableBytes + slots * BLOCK_DIGEST_BYTES);
      const contentAt = HEADER_BYTES + index.byteLength;
      if (size !== contentAt + (head.placed ? 0 : slots * head.blockSize)) {
        throw damagedFile(path, 'its length is wrong');
      }
      await file.read(index, HEADER_BYTES);
      if (crc32(index) !== header.readUInt32LE(104)) throw damagedFile(path, 'its table is wrong');
      const table = RunTable.decode(index.subarray(0, tableBytes));
      return new ParcelFile(path, head, table, slots, index.subarray(tableBytes), file, contentAt);
    } catch (cause) {
      await file.close();
      throw cause;
    }
  }

  digest(slot: number): Uint8Array {
    return this.#digests.subarray(slot * BLOCK_DIGEST_BYTES, (slot + 1) * BLOCK_DIGEST_BYTES);
  }

  /**
   * The content of `count` blocks from `slot` on, at most `SLICE_BYTES`; `damaged` if a block is not what was checked.
   * Read ahead, for blocks are asked for in ascending order. A view, not to be written.
   */
  async read(slot: number, count: number): Promise<Uint8Array> {
    const { blockSize } = this.head;
    if (slot < this.#window.slot || slot + count > this.#window.endSlot) await this.#moveWindow(slot);
    const at = (slot - this.#window.slot) * blockSize;
    return this.#window.bytes.subarray(at, at + count * blockSize);
  }

  /** Reads all content once, so that `damaged` shows now and not later. */
  async verify(): Promise<void> {
    if (this.head.placed) return;
    for (let slot = 0; slot < this.slots; slot = this.#window.endSlot) await this.#moveWindow(slot);
  }

  async #moveWindow(slot: number): Promise<void> {
    const { blockSize } = this.head;
    const endSlot = Math.min(this.slots, slot + SLICE_BYTES / blockSize);
    const bytes = Buffer.allocUnsafe((endSlot - slot) * blockSize);
    await this.#file.read(bytes, this.#contentAt + slot * blockSize);
    for (let i = slot; i < endSlot; i++) {
      const found = blockDigest(bytes.subarray((i - slot) * blockSize, (i - slot + 1) * blockSize));
      if (Buffer.compare(found, this.digest(i)) !== 0) {
        throw damagedFile(this.path, `block ${i} of its content is wrong`);
      }
    }
    this.#window = { slot, endSlot, bytes };
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}
