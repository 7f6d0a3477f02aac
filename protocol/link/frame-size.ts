import { FRAME_OVERHEAD } from './line-times.js';

/** Shortest segment: below it a frame's own bytes cost more than what a damaged frame does, on any line that is of use. */
export const MIN_SEGMENT = 160;

/** What is believed of a line that nothing is known of, in losses and in wrong bits: with `PRIOR_BYTES`, half a KB to begin with. */
const PRIOR_EVENTS = 0.02;
const PRIOR_BYTES = 175;

/** What was seen so many bytes ago counts a third. Long enough for one error in 200 KB, short enough for a line that changes. */
const MEMORY_BYTES = 200_000;

/** Between two sizes that are compared. */
const STEP = 1.12;

/** What became of a frame of data. */
export interface FrameOutcome {
  /** Parcel bytes in it. */
  readonly content: number;
  readonly lost: boolean;
  /** How much of it has to be sent again, where what is left of it is of use; 1 otherwise. */
  readonly share?: number;
}

/**
 * How many parcel bytes to put into a frame, from what has become of the frames before.
 *
 * Two kinds of damage are told apart. Single wrong bits, whose rate the receiver knows since it repairs up to two of them
 * in a frame: long frames stand them well until a third one is likely. And all other losses (bursts, overruns), which hit
 * a frame the likelier the longer it is. For both rates there is an estimate, and of all sizes that one is taken with
 * which the most content arrives for each byte on the line. At first nothing is known: the size grows as the
 * square root of the bytes that have arrived.
 */
export class FrameSize {
  readonly #largest: number;
  #bytes = 0;
  #losses = 0;
  #wrongBits = 0;
  #best: number;

  constructor(largest: number) {
    this.#largest = largest;
    this.#best = this.#choose();
  }

  /** Parcel bytes for the next frame. */
  get best(): number {
    return this.#best;
  }

  /** What a report says of frames, and how many bits were repaired since the last one. */
  note(outcomes: readonly FrameOutcome[], repairedBits: number): void {
    for (const { content, lost, share = 1 } of outcomes) {
      const bytes = content + FRAME_OVERHEAD;
      const fade = Math.exp(-bytes / MEMORY_BYTES);
      this.#bytes = this.#bytes * fade + bytes;
      this.#losses *= fade;
      this.#wrongBits *= fade;
      // What three wrong bits or more would lose anyway is no sign of anything else.
      if (lost) this.#losses += share * (1 - beyondRepair(bytes * this.#wrongBitRate));
    }
    this.#wrongBits += repairedBits;
    this.#best = this.#choose();
  }

  /** Wrong bits for each byte. */
  get #wrongBitRate(): number {
    return (this.#wrongBits + PRIOR_EVENTS) / (this.#bytes + PRIOR_BYTES);
  }

  #choose(): number {
    const wrongBitRate = this.#wrongBitRate;
    const lossRate = (this.#losses + PRIOR_EVENTS) / (this.#bytes + PRIOR_BYTES);
    let best = this.#largest;
    let most = 0;
    for (let size = this.#largest; size >= MIN_SEGMENT; size /= STEP) {
      const bytes = size + FRAME_OVERHEAD;
      const arrives = (size / bytes) * Math.exp(-lossRate * bytes) * (1 - beyondRepair(bytes * wrongBitRate));
      if (arrives <= most) continue;
      most = arrives;
      best = size;
    }
    return Math.floor(best);
  }
}

/** The probability of three wrong bits or more where `expected` are expected. */
const beyondRepair = (expected: number): number =>
  1 - Math.exp(-expected) * (1 + expected + (expected * expected) / 2);
