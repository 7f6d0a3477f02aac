import { millis, wallTime, type Millis, type WallTime } from '../../protocol/units.js';

/** Time as a parameter: everything that waits or dates something is handed one of these. */
export interface Clock {
  /** Monotonic; only differences mean anything. */
  now(): Millis;
  /** The wall clock, for people and schedules; may jump. */
  wall(): WallTime;
  /** Calls `fire` once after `delay` ms; the returned function cancels it. Does not keep the process alive. */
  after(delay: number, fire: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => millis(performance.now()),
  wall: () => wallTime(Date.now()),
  after(delay, fire) {
    const timer = setTimeout(fire, delay);
    timer.unref();
    return () => {
      clearTimeout(timer);
    };
  },
};

/** Resolves after `delay` ms, or rejects with the signal's reason as soon as it aborts. */
export function sleep(clock: Clock, delay: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      cancel();
      reject(signal?.reason as Error);
    };
    const cancel = clock.after(delay, () => {
      signal?.removeEventListener('abort', abort);
      resolve();
    });
    if (signal?.aborted === true) abort();
    else signal?.addEventListener('abort', abort, { once: true });
  });
}
