import { crc32 } from 'node:zlib';
import { RangeSet } from '../../protocol/ranges.js';
import { byteCount, idBytes, idHex, parcelId } from '../../protocol/units.js';
import type { File, Files } from '../platform/files.js';
import type { ParcelAnnouncement } from './volume-store.js';

const MAGIC = Buffer.from('FARCOPYS');
const VERSION = 1;
/** magic 8, version u32, sequence u32, set id 16, parcel id 16, length u64, digest 32, zeros 4, CRC u32. */
const HEADER_BYTES = 96;
const RECORD_HEAD_BYTES = 16;
const LONG_RECORD = 64 << 10;

interface Segment {
  readonly offset: number;
  readonly length: number;
  /** Where its bytes are in the log. */
  readonly at: number;
}

/**
 * Memory in which records are made, one after the other; that of long ones is used again. Shared by all logs of a set: how
 * many of them there are is the primary's choice.
 */
export class RecordMemory {
  #record = Buffer.alloc(0);

  /** What was taken before is not to be used any more. */
  take(length: number): Buffer {
    if (length < LONG_RECORD) return Buffer.allocUnsafe(length);
    if (this.#record.byteLength < length) this.#record = Buffer.allocUnsafeSlow(length);
    return this.#record.subarray(0, length);
  }
}

/**
 * What has arrived of one parcel: `capture/<parcel id>.segments`. A header repeats the announcement; then follow
 * records of `offset u32, length u32, CRC of the bytes u32, CRC of the three fields u32, bytes` (LE) in the order of
 * arrival. Both CRCs go on from the header's, so a record of another file is never taken for one of this. A killed
 * process leaves every acknowledged record; a power cut may leave any of them torn: a record whose bytes are wrong
 * does not count, and the log ends before the first one whose fields are wrong. Its file is open from the first segment on:
 * a set may be announced with thousands of parcels at once.
 */
export class SegmentLog {
  readonly held = new RangeSet();
  readonly #segments: Segment[] = [];
  #end = HEADER_BYTES;
  /** Bytes that were dropped may still be in the file. */
  #isStale = false;

  readonly #files: Files;
  readonly #path: string;
  readonly #salt: number;
  #file: File | null = null;
  #isClosed = false;

  private constructor(
    readonly announcement: ParcelAnnouncement,
    /** Rises with each parcel announced in a set. */
    readonly sequence: number,
    files: Files,
    path: string,
    salt: number,
  ) {
    this.#files = files;
    this.#path = path;
    this.#salt = salt;
  }

  /** An empty log. `isAnew`: in the place of one whose bytes must not come back, not even after a power cut. */
  static async create(
    files: Files,
    path: string,
    setId: string,
    announcement: ParcelAnnouncement,
    sequence: number,
    isAnew = false,
  ): Promise<SegmentLog> {
    const header = Buffer.alloc(HEADER_BYTES);
    MAGIC.copy(header);
    header.writeUInt32LE(VERSION, 8);
    header.writeUInt32LE(sequence, 12);
    header.write(setId, 16, 'hex');
    header.set(idBytes(announcement.id), 32);
    header.writeBigUInt64LE(BigInt(announcement.length), 48);
    header.set(announcement.digest, 56);
    const salt = crc32(header.subarray(0, HEADER_BYTES - 4));
    header.writeUInt32LE(salt, HEADER_BYTES - 4);
    const file = await files.open(path, 'create');
    try {
      await file.truncate(0);
      await file.write(header, 0);
      if (isAnew) await file.sync();
    } finally {
      await file.close();
    }
    return new SegmentLog(announcement, sequence, files, path, salt);
  }

  /** Takes up a log after a restart, with its intact records; null if it is not a whole log of this set. */
  static async open(files: Files, path: string, setId: string): Promise<SegmentLog | null> {
    const file = await files.open(path, 'read-write');
    try {
      const size = await file.size();
      const header = Buffer.alloc(HEADER_BYTES);
      if (size >= HEADER_BYTES) await file.read(header, 0);
      const salt = crc32(header.subarray(0, HEADER_BYTES - 4));
      if (
        !header.subarray(0, 8).equals(MAGIC) ||
        header.readUInt32LE(8) !== VERSION ||
        header.readUInt32LE(HEADER_BYTES - 4) !== salt ||
        idHex(header.subarray(16, 32)) !== setId
      ) {
        return null;
      }
      const announcement = {
        id: parcelId(idHex(header.subarray(32, 48))),
        length: byteCount(Number(header.readBigUInt64LE(48))),
        digest: Uint8Array.from(header.subarray(56, 88)),
      };
      const log = new SegmentLog(announcement, header.readUInt32LE(12), files, path, salt);
      await log.#recover(file, size);
      return log;
    } finally {
      await file.close();
    }
  }

  get isWhole(): boolean {
    return this.held.covers(0, this.announcement.length);
  }

  /**
   * Keeps those of the bytes, `parts` in a row, that are not held yet; resolves when they survive a killed process. One call
   * at a time, over all logs that share `memory`.
   */
  async append(offset: number, parts: readonly Uint8Array[], memory: RecordMemory): Promise<void> {
    if (this.#isStale) await this.#cut();
    const file = await this.#opened();
    const total = parts.reduce((sum, part) => sum + part.byteLength, 0);
    for (const gap of this.held.gaps(offset, offset + total)) {
      const length = gap.end - gap.start;
      const record = memory.take(RECORD_HEAD_BYTES + length);
      copyOut(parts, gap.start - offset, record.subarray(RECORD_HEAD_BYTES));
      this.#writeHead(record, gap.start);
      await file.write(record, this.#end);
      this.#keep({ offset: gap.start, length, at: this.#end + RECORD_HEAD_BYTES });
    }
  }

  /** The whole encoded parcel; owned by the caller. Its digest is still to be checked. */
  async assemble(): Promise<Uint8Array> {
    const encoded = new Uint8Array(this.announcement.length);
    const file = await this.#opened();
    for (const { offset, length, at } of this.#segments) {
      await file.read(encoded.subarray(offset, offset + length), at);
    }
    return encoded;
  }

  /**
   * Drops what is held; when it resolves, that does not come back, not even after a power cut. After a failure nothing is
   * held either, and the next `append` makes sure of it first.
   */
  async empty(): Promise<void> {
    this.held.remove(0, this.announcement.length);
    this.#segments.length = 0;
    this.#end = HEADER_BYTES;
    this.#isStale = true;
    await this.#cut();
  }

  /** Closes its file until it is used again. */
  async rest(): Promise<void> {
    const file = this.#file;
    this.#file = null;
    await file?.close();
  }

  /** Nothing is done to the file any more: another may take its place. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.rest();
  }

  async #opened(): Promise<File> {
    if (this.#isClosed) throw new Error(`the log of parcel ${this.announcement.id} is closed`);
    return (this.#file ??= await this.#files.open(this.#path, 'read-write'));
  }

  async #cut(): Promise<void> {
    const file = await this.#opened();
    await file.truncate(HEADER_BYTES);
    await file.sync();
    this.#isStale = false;
  }

  async #recover(file: File, size: number): Promise<void> {
    const head = Buffer.alloc(RECORD_HEAD_BYTES);
    while (this.#end + RECORD_HEAD_BYTES <= size) {
      await file.read(head, this.#end);
      const offset = head.readUInt32LE(0);
      const length = head.readUInt32LE(4);
      const at = this.#end + RECORD_HEAD_BYTES;
      const intact = head.readUInt32LE(12) === crc32(head.subarray(0, 12), this.#salt);
      if (!intact || length === 0 || offset + length > this.announcement.length || at + length > size) break;
      const bytes = Buffer.allocUnsafe(length);
      await file.read(bytes, at);
      if (head.readUInt32LE(8) === crc32(bytes, this.#salt)) this.#keep({ offset, length, at });
      else this.#end = at + length;
    }
    await file.truncate(this.#end);
  }

  #writeHead(record: Buffer, offset: number): void {
    const bytes = record.subarray(RECORD_HEAD_BYTES);
    record.writeUInt32LE(offset, 0);
    record.writeUInt32LE(bytes.byteLength, 4);
    record.writeUInt32LE(crc32(bytes, this.#salt), 8);
    record.writeUInt32LE(crc32(record.subarray(0, 12), this.#salt), 12);
  }

  #keep(segment: Segment): void {
    this.#segments.push(segment);
    this.held.add(segment.offset, segment.offset + segment.length);
    this.#end = segment.at + segment.length;
  }
}

/** Fills `into` with what stands in `parts`, taken in a row, from `start` on. */
function copyOut(parts: readonly Uint8Array[], start: number, into: Uint8Array): void {
  let at = -start;
  for (const part of parts) {
    const from = Math.max(0, -at);
    const room = into.byteLength - Math.max(0, at);
    if (from < part.byteLength && room > 0) into.set(part.subarray(from, from + room), Math.max(0, at));
    at += part.byteLength;
  }
}
