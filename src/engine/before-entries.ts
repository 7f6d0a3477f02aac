import { crcOfWords } from './word-crc.js';

/*
 * The entries of an epoch's index of before-images, `epoch-<n>.index`: 20 bytes each, five u32 LE: block, count, slot,
 * CRC-32 of the content, check. The check is a CRC-32 of the first 16 bytes that starts at the epoch's number, so an
 * entry of another epoch does not pass.
 */

export const ENTRY_BYTES = 20;
const CHECK_AT = 16;
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
    if (at === this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes], at * 2);
    const bytes = this.#bytes;
    bytes.writeUInt32LE(block, at);
    bytes.writeUInt32LE(count, at + 4);
    bytes.writeUInt32LE(slot, at + 8);
    bytes.writeUInt32LE(check, at + 12);
    bytes.writeUInt32LE(crcOfWords(this.epoch, block, count, slot, check), at + CHECK_AT);
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
  for (let at = 0; at + ENTRY_BYTES <= bytes.length; at += ENTRY_BYTES) {
    const block = bytes.readUInt32LE(at);
    const count = bytes.readUInt32LE(at + 4);
    const slot = bytes.readUInt32LE(at + 8);
    const check = bytes.readUInt32LE(at + 12);
    if (epoch !== null && crcOfWords(epoch, block, count, slot, check) !== bytes.readUInt32LE(at + CHECK_AT))
      continue;
    take(block, count, slot, check);
  }
}
