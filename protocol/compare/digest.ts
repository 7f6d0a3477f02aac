import { createHash } from 'node:crypto';

/**
 * The digest tree of a state (PROTOCOL.md, "Compare"). Level 0 has a digest for each block, each level above one for
 * each 16 of the level below, up to a single root; blocks past the volume's end are zeros. Zeros at any level have the
 * digest of 16 zero bytes, so that what is a hole on both sides is neither read nor computed. All others are SHA-256 of
 * key, level and content (of the block, or of the 16 digests below), cut to 128 bits. The key is random and new with
 * each compare: no content can be made that collides.
 */
export const DIGEST_BYTES = 16;
export const KEY_BYTES = 16;
export const FAN_OUT = 16;

const NODE_BYTES = FAN_OUT * DIGEST_BYTES;

/** How many levels the tree of so many blocks has above level 0; the root is node 0 of that level. */
export function treeHeight(blocks: number): number {
  let height = 0;
  for (let nodes = blocks; nodes > 1; nodes = Math.ceil(nodes / FAN_OUT)) height++;
  return height;
}

/** How many nodes a level has, at least one. */
export const nodesAt = (level: number, blocks: number): number =>
  Math.max(1, Math.ceil(blocks / FAN_OUT ** level));

/** Makes the digests of one compare. */
export class TreeDigest {
  readonly #prefix: Buffer;

  constructor(key: Uint8Array) {
    this.#prefix = Buffer.alloc(KEY_BYTES + 1);
    this.#prefix.set(key);
  }

  /** Writes the digest of a block's content to `into` at `at`; zeros must not be given. */
  block(content: Uint8Array, into: Uint8Array, at: number): void {
    into.set(this.#digest(0, content), at);
  }

  /** The level above `digests`, which are those of `level`; what is missing of the last node counts as zeros. */
  fold(level: number, digests: Uint8Array): Uint8Array {
    const nodes = Math.ceil(digests.byteLength / NODE_BYTES);
    const folded = new Uint8Array(nodes * DIGEST_BYTES);
    for (let node = 0; node < nodes; node++) {
      let children = digests.subarray(node * NODE_BYTES, (node + 1) * NODE_BYTES);
      if (isZero(children)) continue;
      if (children.byteLength < NODE_BYTES) {
        const padded = new Uint8Array(NODE_BYTES);
        padded.set(children);
        children = padded;
      }
      folded.set(this.#digest(level + 1, children), node * DIGEST_BYTES);
    }
    return folded;
  }

  #digest(level: number, content: Uint8Array): Uint8Array {
    this.#prefix[KEY_BYTES] = level;
    return createHash('sha256').update(this.#prefix).update(content).digest().subarray(0, DIGEST_BYTES);
  }
}

const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0);
