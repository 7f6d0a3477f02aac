import { MAX_WINDOW } from './limits.js';

/** What may be under way from the start and at least, bytes: a round trip of 100 ms at a megabyte a second. */
const MIN_WINDOW = 128 << 10;

/**
 * How much longer than the shortest round trip an answer may take, ms, before what is under way counts as too much: so
 * much of the line's time stands in the buffers of a network, and is lost when the line breaks or is changed for another.
 */
const QUEUE_TIME = 200;

/** Of the shortest round trip: a path that has become longer is not taken for a queue for ever. */
const DRIFT = 1 / 256;

/**
 * How much may be under way on a line of unknown rate, from how long its answers take. A network takes whatever it is
 * given, megabytes of it into buffers; the window grows while it is what limits, and shrinks to what the line carries in
 * a round trip and `QUEUE_TIME` when answers become late.
 */
export class Window {
  #bytes = MIN_WINDOW;
  #shortest = Infinity;
  /** Bytes that have got through since the window was changed. */
  #through = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * A frame of data was answered after `roundTrip` ms, and `bytes` have got through since the last answer; `limited`: more
   * would have been sent if the window had allowed it.
   */
  note(roundTrip: number, bytes: number, limited: boolean): void {
    this.#through += bytes;
    const measured = Math.max(0, roundTrip);
    this.#shortest =
      measured < this.#shortest ? measured : this.#shortest + (measured - this.#shortest) * DRIFT;
    const most = this.#shortest + QUEUE_TIME;
    if (measured > most) this.#change((this.#bytes * most) / measured);
    else if (limited && this.#through >= this.#bytes) this.#change(this.#bytes * 2);
  }
  #change(bytes: number): void {
    this.#bytes = Math.min(MAX_WINDOW, Math.max(MIN_WINDOW, Math.floor(bytes)));
    this.#through = 0;
  }
}
