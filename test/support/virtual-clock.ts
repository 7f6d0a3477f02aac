import { setImmediate as turn } from 'node:timers/promises';
import { millis, wallTime, type Millis, type WallTime } from '../../protocol/units.js';
import type { Clock } from '../../src/platform/clock.js';

interface Timer {
  readonly at: number;
  readonly fire: () => void;
}

/** Turns of the event loop in which work that waits for no timer comes to rest. */
const TURNS = 8;

/** Time that passes only when a test lets it. Between two timers all that does not wait for time is let run. */
export class VirtualClock implements Clock {
  readonly #timers = new Set<Timer>();
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

  /** Timers that wait: none may be left when all is over. */
  get waiting(): number {
    return this.#timers.size;
  }

  /** Lets time pass from timer to timer until the answer is yes; fails when `limitMs` have gone by without. */
  async until(what: string, ask: () => boolean, limitMs = 3_600_000): Promise<void> {
    const deadline = this.#now + limitMs;
    for (;;) {
      await settle();
      if (ask()) return;
      const next = this.#next();
      if (next === undefined || next.at > deadline) {
        throw new Error(`waited ${limitMs / 1000} s of virtual time in vain until ${what}`);
      }
      this.#fire(next);
    }
  }

  /** Lets time pass, 50 ms at a time, until `what` is settled; rejects if it is not after `limitMs`. */
  async untilSettled<T>(what: Promise<T>, limitMs = 600_000): Promise<T> {
    let over = false;
    const watched = what.finally(() => (over = true));
    watched.catch(() => undefined);
    const end = this.#now + limitMs;
    await settle();
    const isOver = (): boolean => over;
    while (!isOver() && this.#now < end) await this.pass(Math.min(50, end - this.#now));
    if (!isOver()) throw new Error(`not settled after ${limitMs} virtual ms`);
    return watched;
  }

  /** Lets so much time pass, or less if `stop` says so. */
  async pass(ms: number, stop: () => boolean = () => false): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      await settle();
      if (stop()) return;
      const next = this.#next();
      if (next === undefined || next.at > end) break;
      this.#fire(next);
    }
    this.#now = end;
  }

  #next(): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers) if (next === undefined || timer.at < next.at) next = timer;
    return next;
  }

  #fire(timer: Timer): void {
    this.#timers.delete(timer);
    this.#now = Math.max(this.#now, timer.at);
    timer.fire();
  }
}

/** What hangs on no timer comes to rest. */
export async function settle(): Promise<void> {
  for (let i = 0; i < TURNS; i++) await turn();
}

/** A clock that stops for those who have it, as for the threads of a killed process. */
export class MortalClock implements Clock {
  readonly #pending = new Set<() => void>();
  #dead = false;

  constructor(
    readonly clock: Clock,
    readonly isAlive: () => boolean,
  ) {}

  now(): Millis {
    return this.clock.now();
  }

  wall(): WallTime {
    return this.clock.wall();
  }

  after(delay: number, fire: () => void): () => void {
    if (this.#dead) return () => undefined;
    const cancel = this.clock.after(delay, () => {
      this.#pending.delete(cancel);
      if (this.isAlive()) fire();
    });
    this.#pending.add(cancel);
    return () => {
      this.#pending.delete(cancel);
      cancel();
    };
  }

  kill(): void {
    this.#dead = true;
    for (const cancel of this.#pending) cancel();
    this.#pending.clear();
  }
}
