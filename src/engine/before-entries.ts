import { crc32 } from 'node:zlib';

/*
 * The entries of an epoch's index of before-images, `epoch-<n>.index`: 20 bytes each, five u32 LE: block, count, slot,
 * CRC-32 of the content, check. The check is a CRC-32 of the first 16 bytes that starts at the epoch's number, so an
 * entry of another epoch does not pass.
 */

export const ENTRY_BYTES = 20;
const CHECKED_BYTES = 16;
const FIRST_ROOM = 64;

/** Entries of one epoch, gathered to be written in one go. */
export class BeforeEntries {
  #bytes: Buffer = Buffer.allocUnsafe(FIRST_ROOM * ENTRY_BYTES);
  #end = 0;

  constructor(readonly epoch: number) {}

  /** What was added, to be written; a view until the next `add`. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#end);
  }

  add(block: number, count: number, slot: number, check: number): void {
    const at = this.#end;
    if (at === this.#bytes.byteLength) this.#bytes = Buffer.concat([this.#bytes], at * 2);
    const bytes = this.#bytes;
    bytes.writeUInt32LE(block, at);
    bytes.writeUInt32LE(count, at + 4);
    bytes.writeUInt32LE(slot, at + 8);
    bytes.writeUInt32LE(check, at + 12);
    bytes.writeUInt32LE(crc32(bytes.subarray(at, at + CHECKED_BYTES), this.epoch), at + CHECKED_BYTES);
    this.#end = at + ENTRY_BYTES;
  }

  /** Forgets what was added; the memory is used again. */
  clear(): void {
    this.#end = 0;
  }
}

export type TakeEntry = (block: number, count: number, slot: number, check: number) => void;

/** Calls `take` for each whole entry in `bytes`; `epoch` given: for those whose check fits it. */
export function eachEntry(bytes: Buffer, epoch: number | null, take: TakeEntry): void {
  for (let at = 0; at + ENTRY_BYTES <= bytes.byteLength; at += ENTRY_BYTES) {
    const check = bytes.readUInt32LE(at + CHECKED_BYTES);
    if (epoch !== null && crc32(bytes.subarray(at, at + CHECKED_BYTES), epoch) !== check) continue;
    take(
      bytes.readUInt32LE(at),
      bytes.readUInt32LE(at + 4),
      bytes.readUInt32LE(at + 8),
      bytes.readUInt32LE(at + 12),
    );
  }
}
