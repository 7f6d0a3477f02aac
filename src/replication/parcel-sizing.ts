/** Content that is always worth a parcel, bytes, and the most in one: all of it is in memory on either side. */
const MIN_CONTENT = 1 << 20;
const MAX_CONTENT = 16 << 20;
/**
 * What a parcel should take on the line, seconds. A drop or a restart costs segments, not parcels; what is lost at most is
 * the one on the line, when the spool is damaged, or when the set is turned and most of it has changed again. Both are
 * rare, while each cut costs bytes in every set.
 */
const LINE_SECONDS = 450;
/** A parcel that takes longer than that by so much is cut again. */
const TOLERANCE = 2;
/** What a set's first parcel is taken to come to: a delta is mostly short, and a first copy is what it is. */
const UNTRIED_DELTA = 1 / 32;
const UNTRIED_COPY = 1;

/**
 * How much content the next parcel of a set holds. One stream over everything is the shortest, so parcels are as large
 * as the line's time allows, judged by what those before them came to.
 */
export class ParcelSizing {
  readonly #bytesPerSecond: () => number | undefined;
  /** Encoded bytes for one of content. */
  #ratio: number;

  /** `isCopy`: the set is a whole volume. `bytesPerSecond`: of the line in use; undefined: fast, or none yet. */
  constructor(isCopy: boolean, bytesPerSecond: () => number | undefined) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#ratio = isCopy ? UNTRIED_COPY : UNTRIED_DELTA;
  }

  /** Bytes. */
  get contentBytes(): number {
    const wanted = this.#lineBytes / this.#ratio;
    return Math.floor(Math.max(MIN_CONTENT, Math.min(MAX_CONTENT, wanted)));
  }

  /** What a parcel came to, bytes. False: it takes the line for too long, and smaller ones are to take its place. */
  accepts(content: number, encoded: number): boolean {
    if (content > 0) this.#ratio = encoded / content;
    return content <= MIN_CONTENT || encoded <= this.#lineBytes * TOLERANCE;
  }

  get #lineBytes(): number {
    const rate = this.#bytesPerSecond();
    return rate === undefined ? Infinity : rate * LINE_SECONDS;
  }
}
