/** Bytes that must agree for the short table to find them. */
export const SHORT_WINDOW = 12;
/** Bytes that the long table looks at. */
export const LONG_WINDOW = 32;
/** Only every fourth position is noted; whoever looks up does so at every one. */
const STEP = 4;

/**
 * Where in a buffer the same bytes stood before: a chained table of short windows, newest first, and one of long windows
 * with the newest only, so that long repetitions are found where short ones are too common to follow.
 */
export class MatchTables {
  readonly #bytes: Uint8Array;
  readonly #words: Int32Array;
  readonly #heads: Int32Array;
  readonly #previous: Int32Array;
  readonly #long: Int32Array;
  readonly #shift: number;
  readonly #longShift: number;

  /** `bytes` begins at an offset that is a multiple of four and is as long as all that will ever be noted. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#words = new Int32Array(bytes.buffer, bytes.byteOffset, Math.floor(bytes.length / 4));
    const bits = Math.max(12, Math.min(22, Math.ceil(Math.log2(bytes.length / STEP + 1))));
    this.#shift = 32 - bits;
    this.#longShift = 32 - bits;
    this.#heads = new Int32Array(1 << bits).fill(-1);
    this.#long = new Int32Array(1 << bits).fill(-1);
    this.#previous = new Int32Array(this.#words.length);
  }

  /** Forgets all that was noted. */
  clear(): void {
    this.#heads.fill(-1);
    this.#long.fill(-1);
  }

  /** Notes what starts in `from … to-1`, of which all windows must be filled in. `from` is a multiple of four. */
  note(from: number, to: number): void {
    const words = this.#words;
    const end = Math.min(to, this.#bytes.length - LONG_WINDOW) / 4;
    for (let i = from / 4; i < end; i++) {
      const a = words[i] as number;
      const b = words[i + 1] as number;
      const c = words[i + 2] as number;
      // What repeats one byte is everywhere, and cheap without a copy.
      if (a === b && b === c) continue;
      const slot = shortHash(a, b, c) >>> this.#shift;
      this.#previous[i] = this.#heads[slot] as number;
      this.#heads[slot] = i;
      this.#long[
        longHash(a, words[i + 2] as number, words[i + 4] as number, words[i + 7] as number) >>>
          this.#longShift
      ] = i;
    }
  }

  /** The newest position whose long window is likely that at `at`; -1 if none. */
  longAt(at: number): number {
    const bytes = this.#bytes;
    if (at + LONG_WINDOW > bytes.length) return -1;
    const found = this.#long[
      longHash(word(bytes, at), word(bytes, at + 8), word(bytes, at + 16), word(bytes, at + 28)) >>>
        this.#longShift
    ] as number;
    return found < 0 ? -1 : found * STEP;
  }

  /** The newest position whose short window is likely that at `at`; -1 if none. */
  shortAt(at: number): number {
    const bytes = this.#bytes;
    if (at + SHORT_WINDOW > bytes.length) return -1;
    const found = this.#heads[
      shortHash(word(bytes, at), word(bytes, at + 4), word(bytes, at + 8)) >>> this.#shift
    ] as number;
    return found < 0 ? -1 : found * STEP;
  }

  /** The next older one after `position`; -1 if none. */
  olderThan(position: number): number {
    const found = this.#previous[position / STEP] as number;
    return found < 0 ? -1 : found * STEP;
  }
}

const word = (bytes: Uint8Array, at: number): number =>
  (bytes[at] as number) |
  ((bytes[at + 1] as number) << 8) |
  ((bytes[at + 2] as number) << 16) |
  ((bytes[at + 3] as number) << 24);

function shortHash(a: number, b: number, c: number): number {
  let h = Math.imul(a, 0x9e3779b1) ^ Math.imul(b, 0x85ebca77);
  h = Math.imul(h ^ (h >>> 15), 0xc2b2ae3d) ^ Math.imul(c, 0x27d4eb2f);
  return Math.imul(h ^ (h >>> 13), 0x165667b1);
}

function longHash(a: number, b: number, c: number, d: number): number {
  let h = Math.imul(a, 0x9e3779b1) ^ Math.imul(b, 0x85ebca77);
  h = Math.imul(h ^ (h >>> 15), 0xc2b2ae3d) ^ Math.imul(c, 0x27d4eb2f);
  h = Math.imul(h ^ (h >>> 14), 0x85ebca6b) ^ Math.imul(d, 0x2c1b3c6d);
  return Math.imul(h ^ (h >>> 13), 0x165667b1);
}
