import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { Range } from '../../protocol/ranges.js';
import { FileError, type File, type Files } from '../platform/files.js';
import { SharedSync } from './shared-sync.js';
import { yieldToLoop } from './yield-to-loop.js';

/*
 * Which parts of the device may have been written since they were last synced, on disk, for after a power cut:
 *
 *   `hot.log`   byte 0 … 4095   header: `farcopy hot extents 1\n`, u32 LE unit bytes at 32, u32 slots at 36, the
 *                               volume's incarnation as text at 40, CRC-32 of bytes 0–103 at 104
 *               byte 4096 …     slots of 16 bytes, u32 LE: first unit, count of units, 0, check; all zeros: free
 *
 * The check is a CRC-32 of the first 12 bytes that starts at the header's, so a slot of another log does not pass. The
 * file is written whole once, so that a slot later is one sector in place: no space to be found, no metadata to be
 * synced. A sector is written whole or not at all; a slot that is neither free nor good spoils the log.
 */

export const HOT_LOG_NAME = 'hot.log';
const MAGIC = 'farcopy hot extents 1\n';
const HEADER_BYTES = 4096;
const HEADER_CHECKED = 104;
const INCARNATION_AT = 40;
const SLOT_BYTES = 16;
const SLOT_CHECKED = 12;
/** The longest log that is read: far more slots than one is made with. */
const MAX_LOG_BYTES = 4 << 20;

export interface HotLogGeometry {
  /** Bytes of the device that a unit stands for. */
  readonly unitBytes: number;
  /** Entries there is room for. */
  readonly slots: number;
}

/** The log of the opening that is going on. Throws and rejects with FileError. */
export class HotLog {
  readonly #free: number[];
  readonly #shared = new SharedSync(() => this.file.syncContent?.(true) ?? this.file.sync());

  /** Has not begun yet. */
  #gathering: Promise<void> | null = null;

  private constructor(
    readonly file: File,
    readonly geometry: HotLogGeometry,
    readonly seed: number,
    used: number,
  ) {
    this.#free = Array.from({ length: geometry.slots - used }, (_, i) => geometry.slots - 1 - i);
  }

  /** Takes the place of the log of an earlier opening, durably; `entries` (ranges of units) are in slots 0, 1, … */
  static async create(
    files: Files,
    folder: string,
    incarnation: string,
    geometry: HotLogGeometry,
    entries: readonly Range[] = [],
  ): Promise<HotLog> {
    const content = Buffer.alloc(HEADER_BYTES + geometry.slots * SLOT_BYTES);
    content.write(MAGIC, 0, 'latin1');
    content.writeUInt32LE(geometry.unitBytes, 32);
    content.writeUInt32LE(geometry.slots, 36);
    content.write(incarnation, INCARNATION_AT, HEADER_CHECKED - INCARNATION_AT, 'latin1');
    const seed = crc32(content.subarray(0, HEADER_CHECKED));
    content.writeUInt32LE(seed, HEADER_CHECKED);
    entries.forEach((entry, slot) => encodeSlot(entry, seed).copy(content, HEADER_BYTES + slot * SLOT_BYTES));
    const path = join(folder, HOT_LOG_NAME);
    await files.replace(path, content);
    return new HotLog(await files.open(path, 'read-write'), geometry, seed, entries.length);
  }

  /** Tells its file's identity, by which a restored folder is recognised. Closed if that fails. */
  async identify(tell: (identity: string | null) => Promise<void>): Promise<void> {
    try {
      await tell((await this.file.attributes?.())?.identity ?? null);
    } catch (error) {
      await this.close().catch(() => undefined);
      throw error;
    }
  }

  /** Writes an entry, which counts when a `sync` that began afterwards has ended; its slot. */
  write(units: Range): number {
    const slot = this.#free.pop();
    if (slot === undefined) throw new FileError('no-space', this.file.path, `${this.file.path}: is full`);
    try {
      this.file.writeSync(encodeSlot(units, this.seed), HEADER_BYTES + slot * SLOT_BYTES);
      return slot;
    } catch (error) {
      this.#free.push(slot);
      throw error;
    }
  }

  /** Resolves when what was written before the call is on stable storage. */
  sync(): Promise<void> {
    // Begun a turn of the loop later, so that all who come in this turn share it with the first.
    this.#gathering ??= yieldToLoop().then(() => {
      this.#gathering = null;
      return this.#shared.sync();
    });
    return this.#gathering;
  }

  /** Frees a slot. That need not reach the disk: an entry too many costs a compare. */
  erase(slot: number): void {
    this.file.writeSync(Buffer.alloc(SLOT_BYTES), HEADER_BYTES + slot * SLOT_BYTES);
    this.#free.push(slot);
  }

  close(): Promise<void> {
    return this.file.close();
  }
}

function encodeSlot({ start, end }: Range, seed: number): Buffer {
  const slot = Buffer.alloc(SLOT_BYTES);
  slot.writeUInt32LE(start, 0);
  slot.writeUInt32LE(end - start, 4);
  slot.writeUInt32LE(crc32(slot.subarray(0, SLOT_CHECKED), seed), SLOT_CHECKED);
  return slot;
}

/**
 * Reads the log that an earlier opening left: the ranges of bytes that were hot, in no order. null: it cannot be
 * relied on, and everything may have been written. It must be of one of these incarnations.
 */
export async function readHotLog(
  files: Files,
  folder: string,
  incarnations: readonly (string | null)[],
): Promise<readonly Range[] | null> {
  let content: Buffer;
  try {
    content = Buffer.from(await files.readWhole(join(folder, HOT_LOG_NAME), MAX_LOG_BYTES));
  } catch {
    return null;
  }
  const unitBytes = unitBytesOf(content, incarnations);
  if (unitBytes === null) return null;
  const seed = content.readUInt32LE(HEADER_CHECKED);
  const ranges: Range[] = [];
  for (let at = HEADER_BYTES; at < content.length; at += SLOT_BYTES) {
    const slot = content.subarray(at, at + SLOT_BYTES);
    if (slot.every((byte) => byte === 0)) continue;
    const units = { start: slot.readUInt32LE(0), end: slot.readUInt32LE(0) + slot.readUInt32LE(4) };
    if (!encodeSlot(units, seed).equals(slot)) return null;
    ranges.push({ start: units.start * unitBytes, end: units.end * unitBytes });
  }
  return ranges;
}

/** null: not a whole log of one of these incarnations. */
function unitBytesOf(content: Buffer, incarnations: readonly (string | null)[]): number | null {
  if (content.length < HEADER_BYTES || content.toString('latin1', 0, MAGIC.length) !== MAGIC) return null;
  if (content.readUInt32LE(HEADER_CHECKED) !== crc32(content.subarray(0, HEADER_CHECKED))) return null;
  const slots = content.readUInt32LE(36);
  if (content.length !== HEADER_BYTES + slots * SLOT_BYTES) return null;
  const text = content.toString('latin1', INCARNATION_AT, HEADER_CHECKED).replace(/\0+$/, '');
  return incarnations.includes(text) ? content.readUInt32LE(32) : null;
}
