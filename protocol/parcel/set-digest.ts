import { createHash, hash } from 'node:crypto';

/** Bytes of a block's digest: SHA-256, cut to 128 bits. */
export const BLOCK_DIGEST_BYTES = 16;

/** Digest of one block's content; 16 bytes. */
export const blockDigest = (content: Uint8Array): Uint8Array =>
  hash('sha256', content, 'buffer').subarray(0, BLOCK_DIGEST_BYTES);

const DATA = 1;
const ZERO = 0;

/**
 * The digest of a whole set that COMMIT names: SHA-256 over its entries in ascending block order. A block with
 * content is `01, index (u64 LE), block digest`; zero blocks that follow each other are one entry,
 * `00, first index (u64 LE), count (u64 LE)`, however the parcels cut them. A block that is all zeros must be added
 * as zero.
 */
export class SetDigest {
  readonly #hash = createHash('sha256');
  #zeroStart = 0;
  #zeroCount = 0;
  #next = 0;

  addBlock(index: number, digest: Uint8Array): void {
    this.#advance(index, 1);
    this.#endZeroRun();
    this.#hash.update(entry(DATA, index)).update(digest);
  }

  addZeroRun(start: number, count: number): void {
    const follows = this.#zeroCount > 0 && start === this.#next;
    this.#advance(start, count);
    if (!follows) {
      this.#endZeroRun();
      this.#zeroStart = start;
    }
    this.#zeroCount += count;
  }

  /** 32 bytes; the digest takes nothing more afterwards. */
  finish(): Uint8Array {
    this.#endZeroRun();
    return this.#hash.digest();
  }

  #advance(start: number, count: number): void {
    if (start < this.#next) throw new RangeError(`block ${start} added after block ${this.#next - 1}`);
    this.#next = start + count;
  }

  #endZeroRun(): void {
    if (this.#zeroCount === 0) return;
    const count = Buffer.alloc(8);
    count.writeBigUInt64LE(BigInt(this.#zeroCount));
    this.#hash.update(entry(ZERO, this.#zeroStart)).update(count);
    this.#zeroCount = 0;
  }
}

function entry(kind: number, index: number): Uint8Array {
  const bytes = Buffer.alloc(9);
  bytes[0] = kind;
  bytes.writeBigUInt64LE(BigInt(index), 1);
  return bytes;
}
