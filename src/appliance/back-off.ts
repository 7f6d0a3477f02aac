import type { Millis } from '../../protocol/units.js';

/** How long a link rests after failures, ms: the first time, and at most. */
export interface BackOffTimes {
  readonly first: number;
  readonly most: number;
  /** Attempts that find no line at all, and so cost nothing, before the rest grows. */
  readonly free: number;
}

/** A line that is there anyway: calling again costs a few bytes. */
export const STANDING_LINE: BackOffTimes = { first: 500, most: 8000, free: 20 };
/** A telephone line: each attempt may cost, and modems bar a number that is tried too often. */
export const DIALLED_LINE: BackOffTimes = { first: 2000, most: 120_000, free: 0 };

/** A session that lasted so long, ms, was no failure of the link. */
const GOOD_SESSION_MS = 60_000;

/** By how much of itself a rest may be shorter, so that two sites whose line broke do not call each other in step. */
const JITTER = 0.25;

/** When a link may be tried again: the rest doubles with each failure in a row. */
export class BackOff {
  readonly #times: BackOffTimes;
  readonly #random: () => number;
  #failures = 0;
  #withoutLine = 0;

  /** `random`: from 0 to below 1. */
  constructor(times: BackOffTimes, random: () => number) {
    this.#times = times;
    this.#random = random;
  }

  /** An attempt without a session. `retryable`: another attempt alone may succeed. */
  afterFailure(now: Millis, retryable: boolean): Millis {
    const rest = retryable ? this.#times.first * 2 ** this.#failures : this.#times.most;
    this.#failures++;
    return (now + Math.min(this.#times.most, rest) * (1 - JITTER * this.#random())) as Millis;
  }

  /** An attempt for which there was no line: a cable that was pulled is often plugged in again within seconds. */
  afterNoLine(now: Millis, retryable: boolean): Millis {
    if (!retryable || this.#withoutLine >= this.#times.free) return this.afterFailure(now, retryable);
    this.#withoutLine++;
    return (now + this.#times.first * (1 - JITTER * this.#random())) as Millis;
  }

  /** A session that lasted `lasted` ms and was lost. */
  afterLoss(now: Millis, lasted: number): Millis {
    this.#withoutLine = 0;
    if (lasted >= GOOD_SESSION_MS) this.#failures = 0;
    return this.afterFailure(now, true);
  }

  /** A session that was ended on purpose, or an attempt called off. */
  afterEnd(now: Millis): Millis {
    this.#failures = 0;
    this.#withoutLine = 0;
    return (now + this.#times.first) as Millis;
  }
}
