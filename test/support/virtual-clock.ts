import { setImmediate as turn } from 'node:timers/promises';
import type { Clock } from '../../src/platform/clock.js';
import { millis, wallTime, type Millis, type WallTime } from '../../protocol/units.js';

/** Rounds of the event loop after which promises and streams have come to rest. */
const TURNS = 4;

/** A clock that moves when it is told to. Between two timers everything that is not waiting for time is let run. */
export class VirtualClock implements Clock {
  readonly #timers = new Set<{ readonly at: number; readonly fire: () => void }>();
  #now = 0;

  now(): Millis {
    return millis(this.#now);
  }

  wall(): WallTime {
    return wallTime(1_700_000_000_000 + Math.floor(this.#now));
  }

  after(delay: number, fire: () => void): () => void {
    const timer = { at: this.#now + Math.max(0, delay), fire };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** How many timers are armed: none may be left when all is over. */
  get armed(): number {
    return this.#timers.size;
  }

  /** Lets so much time pass. */
  async pass(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      await this.settle();
      const next = [...this.#timers].reduce<{ at: number; fire: () => void } | undefined>(
        (first, timer) => (timer.at <= end && (first === undefined || timer.at < first.at) ? timer : first),
        undefined,
      );
      if (next === undefined) break;
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.fire();
    }
    this.#now = end;
  }

  /** Lets time pass until `what` is settled; rejects if it is not after `withinMs`. */
  async until<T>(what: Promise<T>, withinMs = 600_000): Promise<T> {
    let over = false;
    const watched = what.finally(() => (over = true));
    watched.catch(() => undefined);
    const end = this.#now + withinMs;
    await this.settle();
    const isOver = (): boolean => over;
    while (!isOver() && this.#now < end) await this.pass(Math.min(50, end - this.#now));
    if (!isOver()) throw new Error(`not settled after ${withinMs} virtual ms`);
    return watched;
  }

  async settle(): Promise<void> {
    for (let round = 0; round < TURNS; round++) await turn();
  }
}
