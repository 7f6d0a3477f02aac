import { blockIndex, type BlockIndex } from '../../protocol/units.js';
import type { BlockFinder } from './references.js';
import { MAX_FEATURES, mixed, sketch } from './sketch.js';

export interface IndexShape {
  /** Blocks of the volume. */
  readonly blocks: number;
  readonly blockSize: number;
  /** The most memory the index takes, in bytes. */
  readonly memoryBytes: number;
}

/** Default of `memoryBytes`. */
export const DEFAULT_INDEX_BYTES = 64 << 20;

const HEADER_WORDS = 16;
const SHAPE = { blocks: 0, blockSize: 1, slots: 2, features: 3, cursor: 4, memory: 5 } as const;
/** Slots a feature may lie in. */
const BUCKET = 4;
const SLOT_WORDS = 2;
/** How full the table is meant to become. */
const LOAD = 0.7;
/** The most blocks told for one. */
const MAX_FOUND = 4;
const MIN_SLOTS = 1 << 10;

/**
 * Where content like a given one was seen in a volume: a table of sketch features, of bounded size. Nothing in it is
 * trusted: what it tells is read and compared. So it may lag behind the volume, forget, be written by two threads at
 * once, or be left half written by a thread that was ended.
 *
 * It lies in shared memory: one thread makes it and hands `shared` to others, which open it with `over`. Words 0–5 are
 * blocks, block size, slots, features a block, cursor of the building, and the memory it was made for; from word 16 on
 * each slot has a feature and a block's number plus one. Big volumes get fewer features a block, and less than one if
 * need be: then only blocks whose smallest feature is small enough are kept, which are the same ones for equal content.
 */
export class ReferenceIndex implements BlockFinder {
  readonly shared: SharedArrayBuffer;
  readonly #words: Uint32Array;
  readonly #features: number;
  /** Features above it are not kept. */
  readonly #threshold: number;
  readonly #bucketMask: number;
  readonly #sketch = new Uint32Array(MAX_FEATURES + 1);

  private constructor(shared: SharedArrayBuffer) {
    this.shared = shared;
    this.#words = new Uint32Array(shared);
    const slots = this.#words[SHAPE.slots] as number;
    this.#features = this.#words[SHAPE.features] as number;
    const perBlock = (slots * LOAD) / Math.max(1, this.blocks);
    this.#threshold = perBlock >= 1 ? 0xffffffff : firstFeatureQuantile(perBlock, this.blockSize);
    this.#bucketMask = slots / BUCKET - 1;
  }

  static create({ blocks, blockSize, memoryBytes }: IndexShape): ReferenceIndex {
    const wanted = (blocks * MAX_FEATURES) / LOAD;
    const most = Math.max(MIN_SLOTS, Math.floor((memoryBytes / 4 - HEADER_WORDS) / SLOT_WORDS));
    let slots = MIN_SLOTS;
    while (slots < wanted && slots * 2 <= most) slots *= 2;
    const shared = new SharedArrayBuffer((HEADER_WORDS + slots * SLOT_WORDS) * 4);
    const words = new Uint32Array(shared);
    // 2^32 blocks would not fit in a word, and 2^32 - 1 is as good for a hint.
    words[SHAPE.blocks] = Math.min(blocks, 0xffffffff);
    words[SHAPE.blockSize] = blockSize;
    words[SHAPE.slots] = slots;
    words[SHAPE.features] = Math.max(
      1,
      Math.min(MAX_FEATURES, Math.floor((slots * LOAD) / Math.max(1, blocks))),
    );
    words[SHAPE.memory] = Math.min(memoryBytes, 0xffffffff);
    return new ReferenceIndex(shared);
  }

  /** The index whose `shared` this is; null if it cannot be one for this shape. */
  static over(shared: SharedArrayBuffer, shape?: IndexShape): ReferenceIndex | null {
    if (shared.byteLength < HEADER_WORDS * 4 || shared.byteLength % 4 !== 0) return null;
    const words = new Uint32Array(shared, 0, HEADER_WORDS);
    const slots = words[SHAPE.slots] as number;
    const features = words[SHAPE.features] as number;
    const fits =
      slots >= MIN_SLOTS &&
      Number.isInteger(Math.log2(slots)) &&
      shared.byteLength === (HEADER_WORDS + slots * SLOT_WORDS) * 4 &&
      features >= 1 &&
      features <= MAX_FEATURES &&
      (shape === undefined ||
        (words[SHAPE.blocks] === Math.min(shape.blocks, 0xffffffff) &&
          words[SHAPE.blockSize] === shape.blockSize &&
          words[SHAPE.memory] === Math.min(shape.memoryBytes, 0xffffffff)));
    return fits ? new ReferenceIndex(shared) : null;
  }

  get blocks(): number {
    return this.#words[SHAPE.blocks] as number;
  }

  get blockSize(): number {
    return this.#words[SHAPE.blockSize] as number;
  }

  /** The first block that has not been looked at since the index was begun; `blocks` when it is built. */
  get cursor(): number {
    return this.#words[SHAPE.cursor] as number;
  }

  set cursor(block: number) {
    this.#words[SHAPE.cursor] = block;
  }

  /** Notes where this content is now. What was noted for the block before is left to be overwritten. */
  add(block: BlockIndex, content: Uint8Array): void {
    const count = sketch(content, this.#features, this.#sketch);
    for (let i = 0; i < count; i++) {
      const feature = this.#sketch[i] as number;
      if (feature > this.#threshold) return;
      this.#put(feature, block + 1);
    }
  }

  find(content: Uint8Array): readonly BlockIndex[] {
    const count = sketch(content, this.#features, this.#sketch);
    const votes = new Map<number, number>();
    for (let i = 0; i < count; i++) {
      const feature = this.#sketch[i] as number;
      if (feature > this.#threshold) break;
      const found = this.#get(feature);
      if (found > 0 && found <= this.blocks) votes.set(found - 1, (votes.get(found - 1) ?? 0) + 1);
    }
    return [...votes]
      .sort(([, a], [, b]) => b - a)
      .slice(0, MAX_FOUND)
      .map(([block]) => blockIndex(block));
  }

  #get(feature: number): number {
    const bucket = this.#bucketOf(feature);
    for (let slot = 0; slot < BUCKET; slot++) {
      const at = bucket + slot * SLOT_WORDS;
      if (this.#words[at] === feature) return this.#words[at + 1] as number;
    }
    return 0;
  }

  #put(feature: number, entry: number): void {
    const bucket = this.#bucketOf(feature);
    // A full bucket gives way where the feature's higher bits say, so that all of it is replaced in time.
    let place = bucket + ((mixed(feature ^ entry) >>> 8) % BUCKET) * SLOT_WORDS;
    for (let slot = BUCKET - 1; slot >= 0; slot--) {
      const at = bucket + slot * SLOT_WORDS;
      if (this.#words[at + 1] === 0) place = at;
      if (this.#words[at] === feature && this.#words[at + 1] !== 0) {
        place = at;
        break;
      }
    }
    this.#words[place] = feature;
    this.#words[place + 1] = entry;
  }

  #bucketOf(feature: number): number {
    // Features are small numbers, being the smallest of many.
    return HEADER_WORDS + (mixed(feature + 0x9e3779b9) & this.#bucketMask) * BUCKET * SLOT_WORDS;
  }
}

/** Below which value the smallest feature of a block of random content lies in this share of all blocks. */
const firstFeatureQuantile = (share: number, blockSize: number): number =>
  Math.floor(0xffffffff * (1 - Math.pow(1 - share, 1 / blockSize)));
