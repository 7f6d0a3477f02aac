/** Round trip as RFC 6298 smooths it; all values in ms. */
export class RoundTrip {
  #smoothed: number | null = null;
  #variation = 0;

  /** null before the first sample. */
  get smoothed(): number | null {
    return this.#smoothed;
  }

  /** One measured round trip, the peer's own delay taken off; a negative one counts as none at all. */
  sample(value: number): void {
    const measured = Math.max(0, value);
    if (this.#smoothed === null) {
      this.#smoothed = measured;
      this.#variation = measured / 2;
      return;
    }
    this.#variation += (Math.abs(measured - this.#smoothed) - this.#variation) / 4;
    this.#smoothed += (measured - this.#smoothed) / 8;
  }

  /** After this long an answer that should have come at once is late. */
  get limit(): number {
    if (this.#smoothed === null) return UNKNOWN_LIMIT;
    return this.#smoothed + Math.max(MIN_MARGIN, 4 * this.#variation);
  }
}

/** Before the first sample: a satellite hop both ways, and some. */
const UNKNOWN_LIMIT = 1500;
/** Of a perfectly steady line: the scheduling of two machines. */
const MIN_MARGIN = 30;
