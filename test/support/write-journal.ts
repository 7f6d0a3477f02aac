import { crc32 } from 'node:zlib';
import { Seeded } from './seeded.js';

/** A block says which it is and which write made it: magic, seed, block, sequence (u64), noise, CRC-32. */
const MAGIC = 0x46435742;
/** What a disk writes whole or not at all. */
const SECTOR_BYTES = 512;
/** In the place of a write's number: a block of zeros, of whatever time. */
const ZEROS = -2;

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
  readonly isZeros: boolean;
  readonly issuedAt: number;
  acknowledgedAt: number | undefined;
  /** Acknowledged with FUA. */
  isDurable: boolean;
}

export interface JournalOptions {
  readonly blockCount: number;
  readonly blockSize?: number;
  /** Blocks that compress to some thirty bytes, for tests where the line is not what matters. */
  readonly compressible?: boolean;
  /** The volume's first content, such as what a power cut has left of it; else blocks that say so. The journal keeps it. */
  readonly first?: Buffer;
}

/** What a power cut has left of a volume. */
export interface CutVerdict {
  /** Empty when everything that had to be durable is there, and nothing that nobody wrote. */
  readonly problems: readonly string[];
  /** Blocks that show an older write than their last one, which nothing had made durable. */
  readonly lostBlocks: number;
  /** Blocks that are put together from sectors of several such writes. */
  readonly tornBlocks: number;
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
 * that the volume was in at one instant. No two writes to one block may be in flight together. A block may also be made
 * zeros; which time that was, it does not say.
 */
export class WriteJournal {
  readonly blockCount: number;
  readonly blockSize: number;
  readonly #compressible: boolean;
  readonly #first: Buffer | undefined;
  readonly #entries: JournalEntry[] = [];
  readonly #perBlock: JournalEntry[][];
  #time = 0;
  /** When the last flush was issued that was acknowledged. */
  #flushIssuedAt = 0;

  constructor(
    readonly seed: number,
    options: JournalOptions,
  ) {
    this.blockCount = options.blockCount;
    this.blockSize = options.blockSize ?? 4096;
    this.#compressible = options.compressible ?? false;
    this.#first = options.first;
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
    if (sequence === 0 && this.#first !== undefined) return this.#blockOf(this.#first, block);
    if (this.#entries[sequence - 1]?.isZeros === true) return Buffer.alloc(this.blockSize);
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

  /** Notes that a write is about to be sent, or that a block is to be made zeros; its content. */
  issue(block: number, isZeros = false): { readonly sequence: number; readonly content: Buffer } {
    const entry: JournalEntry = {
      block,
      sequence: this.#entries.length + 1,
      isZeros,
      issuedAt: ++this.#time,
      acknowledgedAt: undefined,
      isDurable: false,
    };
    this.#entries.push(entry);
    this.#perBlock[block]?.push(entry);
    return { sequence: entry.sequence, content: this.content(block, entry.sequence) };
  }

  acknowledge(sequence: number, { isDurable }: { readonly isDurable: boolean } = { isDurable: false }): void {
    const entry = this.#entries[sequence - 1];
    if (entry === undefined) throw new Error(`nobody issued write ${sequence}`);
    entry.acknowledgedAt = ++this.#time;
    entry.isDurable = isDurable;
  }

  /** Notes that a flush is about to be sent; the time, for `acknowledgeFlush`. */
  issueFlush(): number {
    return ++this.#time;
  }

  /** What was acknowledged before that flush was issued is durable. */
  acknowledgeFlush(issuedAt: number): void {
    this.#flushIssuedAt = Math.max(this.#flushIssuedAt, issuedAt);
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
    this.#eachStamp(image, problems, (block, shown) => {
      const entries = this.#perBlock[block] ?? [];
      const last = entries.findLast((entry) => entry.acknowledgedAt !== undefined)?.sequence ?? 0;
      const sequence = shown === ZEROS ? this.#zerosOf(block).at(-1) : shown;
      if (sequence === undefined) problems.push(`block ${block}: zeros, which nobody made there`);
      else if (sequence < last) {
        problems.push(`block ${block}: acknowledged write ${last} is lost, shows ${sequence}`);
      }
    });
    return problems;
  }

  /**
   * The volume after a power cut, as it was left: each block must show its last durable write (acknowledged with FUA, or
   * before a flush was issued that was acknowledged) or a later one, each of its sectors for itself if it is torn.
   */
  checkAfterPowerCut(image: Buffer): CutVerdict {
    const problems: string[] = [];
    let lostBlocks = 0;
    let tornBlocks = 0;
    if (image.length !== this.blockCount * this.blockSize) {
      problems.push(`${image.length} bytes long instead of ${this.blockCount * this.blockSize}`);
      return { problems, lostBlocks, tornBlocks };
    }
    for (let block = 0; block < this.blockCount; block++) {
      const found = this.#blockOf(image, block);
      const entries = this.#perBlock[block] ?? [];
      const last = entries.findLast((entry) => this.#isDurable(entry))?.sequence ?? 0;
      const allowed = [last, ...entries.map(({ sequence }) => sequence).filter((each) => each > last)];
      const contents = allowed.map((sequence) => this.content(block, sequence));
      const shown = contents.findLastIndex((content) => content.equals(found));
      if (shown >= 0) {
        if (shown < contents.length - 1) lostBlocks++;
      } else if (isPutTogether(found, contents)) tornBlocks++;
      else problems.push(`block ${block}: ${this.#named(block, found)}, durable is write ${last}`);
    }
    return { problems, lostBlocks, tornBlocks };
  }

  #isDurable({ acknowledgedAt, isDurable }: JournalEntry): boolean {
    return isDurable || (acknowledgedAt !== undefined && acknowledgedAt < this.#flushIssuedAt);
  }

  #named(block: number, content: Buffer): string {
    const stamp = this.#stampAt(block, content);
    return typeof stamp === 'string' ? stamp : `shows write ${stamp.sequence} of block ${stamp.block}`;
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
    const zeros: number[] = [];
    this.#eachStamp(image, problems, (block, sequence) => {
      if (sequence === ZEROS) {
        zeros.push(block);
        return;
      }
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
    // Zeros are of the first time that fits the instant; where that is later than it, the instant is.
    for (let isSettled = false; !isSettled;) {
      isSettled = true;
      for (const block of zeros) {
        const done = (this.#perBlock[block] ?? []).findLast(
          ({ acknowledgedAt }) => acknowledgedAt !== undefined && acknowledgedAt <= instant,
        );
        const known = this.#zerosOf(block);
        const sequence = known.find((each) => each >= (done?.sequence ?? 0)) ?? known.at(-1) ?? -1;
        shown[block] = sequence;
        const issuedAt = this.#entries[sequence - 1]?.issuedAt ?? 0;
        if (issuedAt <= instant) continue;
        instant = issuedAt;
        isSettled = false;
      }
    }
    for (const block of zeros) {
      const entry = this.#entries[(shown[block] ?? 0) - 1];
      if (shown[block] === -1) problems.push(`block ${block}: zeros, which nobody made there`);
      else if (entry !== undefined && entry.issuedAt > (bounds.notAfter ?? Infinity))
        problems.push(`block ${block}: zeros of write ${entry.sequence}, issued after the snapshot`);
    }
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
      const content = this.#blockOf(image, block);
      if (content.every((byte) => byte === 0)) {
        take(block, ZEROS);
        continue;
      }
      const stamp = this.#stampAt(block, content);
      if (typeof stamp === 'string') problems.push(`block ${block} ${stamp}`);
      else if (stamp.block !== block) problems.push(`block ${block}: holds block ${stamp.block}`);
      else take(block, stamp.sequence);
    }
  }

  /** The writes that have made a block zeros, ascending; 0: it was so at first. */
  #zerosOf(block: number): readonly number[] {
    const isFirst =
      this.#first !== undefined && this.#blockOf(this.#first, block).every((byte) => byte === 0);
    const later = (this.#perBlock[block] ?? []).filter(({ isZeros }) => isZeros);
    return [...(isFirst ? [0] : []), ...later.map(({ sequence }) => sequence)];
  }

  /** As `stamp`, for what lies where a block belongs: a first content that was given is known by its place alone. */
  #stampAt(block: number, content: Uint8Array): BlockStamp | string {
    if (this.#first !== undefined && this.#blockOf(this.#first, block).equals(content)) {
      return { block, sequence: 0 };
    }
    return this.stamp(content);
  }

  #blockOf(image: Uint8Array, block: number): Buffer {
    const at = image.byteOffset + block * this.blockSize;
    return Buffer.from(image.buffer, at, this.blockSize);
  }
}

/** Is each sector as one of the contents has it? */
function isPutTogether(found: Buffer, contents: readonly Buffer[]): boolean {
  for (let at = 0; at < found.length; at += SECTOR_BYTES) {
    const sector = found.subarray(at, at + SECTOR_BYTES);
    if (!contents.some((content) => content.subarray(at, at + SECTOR_BYTES).equals(sector))) return false;
  }
  return true;
}
