import type { Millis } from '../../protocol/units.js';

/** How far back the rate looks, ms: long enough to be calm on a slow line, short enough to notice a stall. */
const WINDOW_MS = 60_000;
/** Less than this tells nothing. */
const LEAST_MS = 3000;

/** How far a thing has come; `of` names it, so that another one starts anew. */
export interface Progressed {
  readonly of: string;
  readonly held: number;
  /** Of the whole, 0 … 1. */
  readonly fraction: number;
}

/** The time left by the rate seen of late. Pure: time is a parameter. */
export class RateMeter {
  #of = '';
  #samples: { readonly at: Millis; readonly held: number }[] = [];
  #fraction = 0;

  observe(now: Millis, { of, held, fraction }: Progressed): void {
    const last = this.#samples.at(-1);
    if (of !== this.#of || (last !== undefined && held < last.held)) this.#samples = [];
    this.#of = of;
    this.#fraction = fraction;
    this.#samples.push({ at: now, held });
    // The newest sample that is older than the window stays: the rate covers the whole of it.
    while ((this.#samples[1]?.at ?? Infinity) <= now - WINDOW_MS) this.#samples.shift();
  }

  /** Bytes a second; null while too little was seen. */
  get bytesPerSecond(): number | null {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (first === undefined || last === undefined || last.at - first.at < LEAST_MS) return null;
    return ((last.held - first.held) * 1000) / (last.at - first.at);
  }

  /** Of the thing named; null while that is not known, or nothing moves. */
  secondsLeft(of: string): number | null {
    const rate = this.bytesPerSecond;
    const last = this.#samples.at(-1);
    if (of !== this.#of || last === undefined || rate === null || rate <= 0 || this.#fraction <= 0)
      return null;
    return Math.round((last.held / this.#fraction - last.held) / rate);
  }
}
