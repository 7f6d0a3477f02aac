import { crc32 } from 'node:zlib';
import { Seeded } from './seeded.js';

/** A block says which it is and which write made it: magic, seed, block, sequence (u64), noise, CRC-32. */
const MAGIC = 0x46435742;

/** What a block says of itself. */
export interface BlockStamp {
  readonly block: number;
  /** 0: the content the volume was filled with before any write. */
  readonly sequence: number;
}

/** One write as the client saw it. Times count events: a write acknowledged at 7 was done before one issued at 8. */
interface JournalEntry {
  readonly block: number;
  readonly sequence: number;
  readonly issuedAt: number;
  acknowledgedAt: number | undefined;
}

export interface JournalOptions {
  readonly blockCount: number;
  readonly blockSize?: number;
  /** Blocks that compress to some thirty bytes, for tests where the line is not what matters. */
  readonly compressible?: boolean;
}

export interface ImageVerdict {
  /** Empty when the image is one state of the volume. */
  readonly problems: readonly string[];
  /** The newest write that the image shows. */
  readonly newestSequence: number;
  /** Blocks that show a write at all. */
  readonly writtenBlocks: number;
}

/**
 * Remembers, in this process, every write that a volume was asked for and which of them were acknowledged, so that
 * it outlives any kill of the server. From it follows what the volume must hold, and whether an image can be a state
 * that the volume was in at one instant. No two writes to one block may be in flight together.
 */
export class WriteJournal {
  readonly blockCount: number;
  readonly blockSize: number;
  readonly #compressible: boolean;
  readonly #entries: JournalEntry[] = [];
  readonly #perBlock: JournalEntry[][];
  #time = 0;

  constructor(
    readonly seed: number,
    options: JournalOptions,
  ) {
    this.blockCount = options.blockCount;
    this.blockSize = options.blockSize ?? 4096;
    this.#compressible = options.compressible ?? false;
    this.#perBlock = Array.from({ length: this.blockCount }, () => []);
  }

  /** The event counter now, for `notBefore` and `notAfter`. */
  get time(): number {
    return this.#time;
  }
  get writes(): number {
    return this.#entries.length;
  }
  get acknowledged(): number {
    return this.#entries.reduce((sum, entry) => sum + (entry.acknowledgedAt === undefined ? 0 : 1), 0);
  }

  /** The block's content by this write; sequence 0 is its first content. */
  content(block: number, sequence: number): Buffer {
    const bytes = Buffer.allocUnsafe(this.blockSize);
    if (this.#compressible) bytes.fill(sequence & 255);
    else new Seeded(this.seed ^ Math.imul(block, 0x9e3779b1) ^ Math.imul(sequence, 0x85ebca6b)).fill(bytes);
    bytes.writeUInt32BE(MAGIC, 0);
    bytes.writeUInt32BE(this.seed >>> 0, 4);
    bytes.writeUInt32BE(block, 8);
    bytes.writeUInt32BE(0, 12);
    bytes.writeBigUInt64BE(BigInt(sequence), 16);
    bytes.writeUInt32BE(crc32(bytes.subarray(0, this.blockSize - 4)), this.blockSize - 4);
    return bytes;
  }

  /** The whole volume as it is before the first write. */
  firstImage(): Buffer {
    return Buffer.concat(Array.from({ length: this.blockCount }, (_, block) => this.content(block, 0)));
  }

  /** Notes that a write is about to be sent; its content. */
  issue(block: number): { readonly sequence: number; readonly content: Buffer } {
    const entry: JournalEntry = {
      block,
      sequence: this.#entries.length + 1,
      issuedAt: ++this.#time,
      acknowledgedAt: undefined,
    };
    this.#entries.push(entry);
    this.#perBlock[block]?.push(entry);
    return { sequence: entry.sequence, content: this.content(block, entry.sequence) };
  }

  acknowledge(sequence: number): void {
    const entry = this.#entries[sequence - 1];
    if (entry === undefined) throw new Error(`nobody issued write ${sequence}`);
    entry.acknowledgedAt = ++this.#time;
  }

  /** What a block says of itself, or what is wrong with it. */
  stamp(content: Uint8Array): BlockStamp | string {
    const bytes = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
    if (bytes.readUInt32BE(0) !== MAGIC) return 'is not a block of this test';
    if (bytes.readUInt32BE(4) !== this.seed >>> 0) return 'is of another volume';
    const end = this.blockSize - 4;
    if (crc32(bytes.subarray(0, end)) !== bytes.readUInt32BE(end)) return 'is torn';
    return { block: bytes.readUInt32BE(8), sequence: Number(bytes.readBigUInt64BE(16)) };
  }

  /**
   * The volume now, with no write in flight: each block must show its last acknowledged write, or a later one that
   * was sent but never answered.
   */
  checkVolume(image: Uint8Array): readonly string[] {
    const problems: string[] = [];
    this.#eachStamp(image, problems, (block, sequence) => {
      const entries = this.#perBlock[block] ?? [];
      const last = entries.findLast((entry) => entry.acknowledgedAt !== undefined)?.sequence ?? 0;
      if (sequence < last) {
        problems.push(`block ${block}: acknowledged write ${last} is lost, shows ${sequence}`);
      }
    });
    return problems;
  }

  /**
   * An image must be the volume at one instant: if it shows a write, then all that was acknowledged before that
   * write was issued is in it too. `notBefore`: all acknowledged up to this time is in it. `notAfter`: nothing
   * issued after this time is.
   */
  checkImage(image: Uint8Array, bounds: { notBefore?: number; notAfter?: number } = {}): ImageVerdict {
    const problems: string[] = [];
    const shown = new Int32Array(this.blockCount).fill(-1);
    let instant = bounds.notBefore ?? 0;
    let newestSequence = 0;
    let writtenBlocks = 0;
    this.#eachStamp(image, problems, (block, sequence) => {
      shown[block] = sequence;
      if (sequence === 0) return;
      writtenBlocks++;
      newestSequence = Math.max(newestSequence, sequence);
      const entry = this.#entries[sequence - 1];
      if (entry?.block !== block) {
        problems.push(`block ${block}: shows write ${sequence}, which nobody made there`);
        return;
      }
      instant = Math.max(instant, entry.issuedAt);
      if (bounds.notAfter !== undefined && entry.issuedAt > bounds.notAfter) {
        problems.push(`block ${block}: shows write ${sequence}, issued after the snapshot`);
      }
    });
    for (const entry of this.#entries) {
      const sequence = shown[entry.block] ?? -1;
      if (sequence < 0 || entry.acknowledgedAt === undefined || entry.acknowledgedAt > instant) continue;
      if (sequence < entry.sequence) {
        problems.push(
          `block ${entry.block}: shows ${sequence}, without write ${entry.sequence} that was done before`,
        );
      }
    }
    return { problems, newestSequence, writtenBlocks };
  }

  #eachStamp(image: Uint8Array, problems: string[], take: (block: number, sequence: number) => void): void {
    if (image.length !== this.blockCount * this.blockSize) {
      problems.push(`${image.length} bytes long instead of ${this.blockCount * this.blockSize}`);
      return;
    }
    for (let block = 0; block < this.blockCount; block++) {
      const stamp = this.stamp(image.subarray(block * this.blockSize, (block + 1) * this.blockSize));
      if (typeof stamp === 'string') problems.push(`block ${block} ${stamp}`);
      else if (stamp.block !== block) problems.push(`block ${block}: holds block ${stamp.block}`);
      else take(block, stamp.sequence);
    }
  }
}
