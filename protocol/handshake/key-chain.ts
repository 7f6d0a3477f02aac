import { hkdfSync } from 'node:crypto';

/** Frames sealed under one key: far below what ChaCha20-Poly1305 allows, so that an old key gives away little. */
export const FRAMES_PER_KEY = 2 ** 22;

const INFO = 'farcopy key generation';

/**
 * The keys of one direction. Generation `g` seals the frames `g * 2^22 … (g + 1) * 2^22 - 1`; its key is
 * HKDF-SHA256 (no salt, info `farcopy key generation`) of the one before it. Old keys are forgotten.
 */
export class KeyChain {
  #key: Uint8Array;
  #generation = 0;

  /** `first`: 32 bytes, the key of generation 0. `number`: a frame whose generation to begin with. */
  constructor(first: Uint8Array, number = 0) {
    this.#key = first;
    while ((this.#generation + 1) * FRAMES_PER_KEY <= number) {
      this.#key = this.#next();
      this.#generation++;
    }
  }

  /** The key for a frame; `undefined` when it is of an earlier generation, or later than the next. Changes nothing. */
  keyFor(number: number): Uint8Array | undefined {
    switch (Math.floor(number / FRAMES_PER_KEY) - this.#generation) {
      case 0:
        return this.#key;
      case 1:
        return this.#next();
      default:
        return undefined;
    }
  }

  /** A frame of this number was sealed or opened: moves on to its generation, which `keyFor` must have known. */
  advanceTo(number: number): void {
    if (Math.floor(number / FRAMES_PER_KEY) === this.#generation) return;
    this.#key = this.#next();
    this.#generation++;
  }

  #next(): Uint8Array {
    return new Uint8Array(hkdfSync('sha256', this.#key, '', INFO, this.#key.length));
  }
}
