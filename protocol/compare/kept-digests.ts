import { DIGEST_BYTES, FAN_OUT, nodesAt, TreeDigest } from './digest.js';
import { keptLevel } from './tree.js';

/**
 * Makes the kept digests of a state's tree from its content as it goes by, so that a tree can be had later without
 * reading that state: every block in ascending order, those that are zeros left out.
 */
export class KeptDigests {
  readonly #digest: TreeDigest;
  readonly #blockSize: number;
  readonly #level: number;
  readonly #span: number;
  readonly #kept: Uint8Array;
  readonly #leaves: Uint8Array;
  /** The node whose leaves are being gathered. */
  #node = 0;
  #isTouched = false;

  /** `key`: as of `TreeDigest`. */
  constructor(key: Uint8Array, blocks: number, blockSize: number) {
    this.#digest = new TreeDigest(key);
    this.#blockSize = blockSize;
    this.#level = keptLevel(blocks, blockSize);
    this.#span = FAN_OUT ** this.#level;
    this.#kept = new Uint8Array(nodesAt(this.#level, blocks) * DIGEST_BYTES);
    this.#leaves = new Uint8Array(this.#span * DIGEST_BYTES);
  }

  /** The next blocks from `start` on, one or more whole ones, none of them zeros. */
  add(start: number, content: Uint8Array): void {
    for (let at = 0, block = start; at < content.byteLength; at += this.#blockSize, block++) {
      const node = Math.floor(block / this.#span);
      if (node !== this.#node) this.#fold();
      this.#node = node;
      this.#isTouched = true;
      const leaf = (block % this.#span) * DIGEST_BYTES;
      this.#digest.block(content.subarray(at, at + this.#blockSize), this.#leaves, leaf);
    }
  }

  /** The digests of all nodes of `keptLevel`, in order; owned by the caller. Nothing is added afterwards. */
  finish(): Uint8Array {
    this.#fold();
    return this.#kept;
  }

  #fold(): void {
    if (!this.#isTouched) return;
    let folded: Uint8Array = this.#leaves;
    for (let below = 0; below < this.#level; below++) folded = this.#digest.fold(below, folded);
    this.#kept.set(folded, this.#node * DIGEST_BYTES);
    this.#leaves.fill(0);
    this.#isTouched = false;
  }
}
