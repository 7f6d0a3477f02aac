import type { DeltaSpace } from './delta-layout.js';

/** How the source of a copy is told; everything from `EXPLICIT` on names a region of the address space. */
export const OWN = 0;
const RECENT = 1;
const RECENT_COUNT = 3;
const EXPLICIT = RECENT + RECENT_COUNT;
const REGIONS = 4;
/** Modes are `0 … ADDRESS_MODES - 1`; there are as many as three bits tell. */
export const ADDRESS_MODES = EXPLICIT + REGIONS;

/** A source that is told by its block and the byte in it. */
export interface ExplicitAddress {
  /** Blocks from where the last copy from this region ended, zigzag. */
  readonly blocks: number;
  readonly offset: number;
}

/**
 * What both sides remember of the copies made so far, so that the next one's source takes few bits: the distances
 * between output and source that were used last, and where the last copy from each region ended.
 *
 * A copy that goes on with the base content of the same block at the same place is `OWN`, whatever was before.
 */
export class AddressMemory {
  readonly #space: DeltaSpace;
  readonly #blockSize: number;
  readonly #recent: number[];
  readonly #ends: number[];

  constructor(space: DeltaSpace, blockSize: number) {
    this.#space = space;
    this.#blockSize = blockSize;
    this.#recent = new Array<number>(RECENT_COUNT).fill(0);
    this.#ends = [0, space.own, space.parcels, space.output];
  }

  /** The mode for a copy to `at` (an address in the output) from `source`; what is to be told with it, if explicit. */
  tell(at: number, source: number): { readonly mode: number; readonly explicit: ExplicitAddress | null } {
    const distance = at - source;
    if (distance === this.#space.output) return { mode: OWN, explicit: null };
    const place = this.#recent.indexOf(distance);
    if (place >= 0) return { mode: RECENT + place, explicit: null };
    const region = this.#regionOf(source);
    const from = this.#startOf(region);
    const within = source - from;
    const block = Math.floor(within / this.#blockSize);
    const expected = Math.floor(((this.#ends[region] as number) - from) / this.#blockSize);
    const step = block - expected;
    return {
      mode: EXPLICIT + region,
      explicit: { blocks: step < 0 ? -2 * step - 1 : 2 * step, offset: within - block * this.#blockSize },
    };
  }

  /** Is an address to be read for this mode. */
  static isExplicit(mode: number): boolean {
    return mode >= EXPLICIT;
  }

  /** The source that `tell` was given; whatever a peer sends, a number that the caller must hold to the space. */
  source(mode: number, at: number, explicit: ExplicitAddress | null): number {
    if (mode === OWN) return at - this.#space.output;
    if (explicit === null) return at - (this.#recent[mode - RECENT] as number);
    const region = mode - EXPLICIT;
    const from = this.#startOf(region);
    const expected = Math.floor(((this.#ends[region] as number) - from) / this.#blockSize);
    const { blocks, offset } = explicit;
    const step = blocks % 2 === 0 ? blocks / 2 : -(blocks + 1) / 2;
    return from + (expected + step) * this.#blockSize + offset;
  }

  /** A copy was made. */
  note(mode: number, at: number, source: number, length: number): void {
    this.#ends[this.#regionOf(source)] = source + length;
    if (mode === OWN) return;
    const place = mode < EXPLICIT ? mode - RECENT : RECENT_COUNT - 1;
    this.#recent.copyWithin(1, 0, place);
    this.#recent[0] = at - source;
  }

  #regionOf(source: number): number {
    const { own, parcels, output } = this.#space;
    return source < own ? 0 : source < parcels ? 1 : source < output ? 2 : 3;
  }

  #startOf(region: number): number {
    const { own, parcels, output } = this.#space;
    return [0, own, parcels, output][region] as number;
  }
}
