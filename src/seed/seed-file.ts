import { crc32 } from 'node:zlib';
import { ProtocolError } from '../../protocol/errors.js';
import {
  decodeSeedEnd,
  decodeSeedHead,
  decodeSeedPart,
  isSeedPartIntact,
  SEED_END_BYTES,
  SEED_PART_HEAD_BYTES,
  SEED_START_BYTES,
  seedHeadBytes,
  type SeedEnd,
  type SeedHead,
} from '../../protocol/seed/seed-form.js';
import { byteCount, idHex, parcelId, type ByteCount, type ParcelId } from '../../protocol/units.js';
import type { File, Files } from '../platform/files.js';
import { fromDiskError, SeedError } from './errors.js';

/** A part of a seed, which is a parcel. */
export interface SeedPart {
  /** Of its digest, so that the same part has the same one each time. */
  readonly id: ParcelId;
  readonly length: ByteCount;
  readonly digest: Uint8Array;
  /** Its first byte in the file, and the first one behind it. */
  readonly start: number;
  readonly end: number;
  /** Reads it and checks it. Rejects with SeedError `damaged`, `io`. The bytes are the caller's. */
  read(): Promise<Uint8Array>;
}

/** A seed as it lies on a disk, read from the front to the end. Everything fails with SeedError. */
export class SeedFile {
  private constructor(
    readonly path: string,
    readonly head: SeedHead,
    readonly end: SeedEnd,
    readonly size: number,
    readonly file: File,
    readonly headBytes: number,
    readonly headCrc: number,
  ) {}

  /** Reads head and end: `not-a-seed`, `damaged` (also when it is cut off). */
  static async open(files: Files, path: string): Promise<SeedFile> {
    let file: File | null = null;
    try {
      file = await files.open(path, 'read');
      return await SeedFile.#opened(file, path);
    } catch (cause) {
      await file?.close();
      throw fromDiskError(cause, path);
    }
  }

  static async #opened(file: File, path: string): Promise<SeedFile> {
    const size = await file.size();
    const headBytes = await headBytesOf(file, path, size);
    if (size < headBytes + SEED_END_BYTES) throw cutOff(path, size);
    const bytes = await bytesAt(file, 0, headBytes);
    const { head, crc } = asSeedErrors(path, () => decodeSeedHead(bytes, crc32));
    const end = decodeSeedEnd(await bytesAt(file, size - SEED_END_BYTES, SEED_END_BYTES), crc, crc32);
    if (end === null) throw cutOff(path, size);
    return new SeedFile(path, head, end, size, file, headBytes, crc);
  }

  /** The parts in their order. Ends with `damaged` where one is not what it should be, or one is missing. */
  async *parts(): AsyncGenerator<SeedPart> {
    const last = this.size - SEED_END_BYTES;
    let at = this.headBytes;
    let before = this.headCrc;
    let count = 0;
    for (; at < last; count++) {
      const headOfPart = await this.#bytes(at, Math.min(SEED_PART_HEAD_BYTES, last - at));
      const head = headOfPart.byteLength < SEED_PART_HEAD_BYTES ? null : decodeSeedPart(headOfPart);
      const start = at;
      const end = at + SEED_PART_HEAD_BYTES + (head?.length ?? 0);
      if (head === null || end > last) throw this.#damaged(count, at);
      const [index, crcBefore] = [count, before];
      yield {
        ...{ id: parcelId(idHex(head.digest.subarray(0, 16))), start, end },
        ...{ length: byteCount(head.length), digest: head.digest },
        read: async () => {
          const encoded = await this.#bytes(start + SEED_PART_HEAD_BYTES, head.length);
          if (!isSeedPartIntact(headOfPart, encoded, crcBefore, crc32)) throw this.#damaged(index, start);
          return encoded;
        },
      };
      at = end;
      before = head.crc;
    }
    if (count !== this.end.parts || before !== this.end.lastCrc) throw this.#damaged(count, at);
  }

  close(): Promise<void> {
    return this.file.close();
  }

  async #bytes(position: number, length: number): Promise<Uint8Array> {
    try {
      return await bytesAt(this.file, position, length);
    } catch (cause) {
      throw fromDiskError(cause, this.path);
    }
  }

  #damaged(part: number, at: number): SeedError {
    return damaged(
      this.path,
      `part ${part + 1} of ${this.end.parts}, at byte ${at}, is not what was written`,
    );
  }
}

async function headBytesOf(file: File, path: string, size: number): Promise<number> {
  if (size < SEED_START_BYTES) throw new SeedError('not-a-seed', `${path}: not a seed of farcopy`);
  const start = await bytesAt(file, 0, SEED_START_BYTES);
  return asSeedErrors(path, () => seedHeadBytes(start));
}

async function bytesAt(file: File, position: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  await file.read(bytes, position);
  return bytes;
}

function asSeedErrors<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (!(cause instanceof ProtocolError)) throw cause;
    throw new SeedError('not-a-seed', `${path}: ${cause.message}`, undefined, { cause });
  }
}

const HINT = 'copy it from the primary again, or make another seed there';

const damaged = (path: string, what: string): SeedError =>
  new SeedError('damaged', `${path} is damaged: ${what}`, HINT);

const cutOff = (path: string, size: number): SeedError =>
  damaged(path, `it has ${size} bytes and no end: it is cut off, or its end is not what was written`);
