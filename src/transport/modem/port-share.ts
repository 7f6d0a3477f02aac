import type { Clock } from '../../platform/clock.js';
import { TransportError } from '../errors.js';
import type { Yielding } from './converse.js';

/**
 * Who may use a modem: one at a time, in the order they asked. The one that only waits for calls is asked to step
 * back when another wants to dial.
 */
export class PortShare implements Yielding {
  readonly #queue: (() => void)[] = [];
  readonly #listeners = new Set<() => void>();
  #taken = false;

  /** Does anybody wait for the port. */
  get wanted(): boolean {
    return this.#queue.length > 0;
  }

  onWanted(tell: () => void): () => void {
    this.#listeners.add(tell);
    return () => this.#listeners.delete(tell);
  }

  /** Resolves with the function that gives the port back. Rejects with the signal's reason. */
  take(signal: AbortSignal): Promise<() => void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const mine = (): void => {
        signal.removeEventListener('abort', giveUp);
        resolve(this.#releaser());
      };
      const giveUp = (): void => {
        this.#queue.splice(this.#queue.indexOf(mine), 1);
        reject(signal.reason as Error);
      };
      if (!this.#taken) {
        this.#taken = true;
        mine();
        return;
      }
      this.#queue.push(mine);
      signal.addEventListener('abort', giveUp, { once: true });
      for (const tell of [...this.#listeners]) tell();
    });
  }

  /** The same, for no longer than `waitMs`: a call may last for hours, and another link may be free. */
  async takeWithin(clock: Clock, waitMs: number, device: string, signal: AbortSignal): Promise<() => void> {
    const patience = new AbortController();
    const cancel = clock.after(waitMs, () =>
      patience.abort(new TransportError('in-use', `${device}: another call is on it`)),
    );
    try {
      return await this.take(AbortSignal.any([signal, patience.signal]));
    } finally {
      cancel();
    }
  }

  #releaser(): () => void {
    let released = false;
    return () => {
      if (released) return;
      released = true;
      const next = this.#queue.shift();
      if (next === undefined) this.#taken = false;
      else next();
    };
  }
}
