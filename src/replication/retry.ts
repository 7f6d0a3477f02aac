import { sleep, type Clock } from '../platform/clock.js';
import type { Log } from '../platform/log.js';

export interface RetryOptions {
  readonly volumeName: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly onEvent: (level: 'warning' | 'error', text: string) => void;
}

/** After a failure of disk or encoder, before the same is tried again. */
const RETRY_MS = 5000;
/** A peer that is asked whether it is there answers within a few of these. */
const LOOK_AGAIN_MS = 2000;

/** The trying again after failures that may pass, and the telling of them: the same trouble is told once in a row. */
export class Retry {
  readonly #options: RetryOptions;
  readonly #again: () => Promise<void>;
  readonly #closing: AbortSignal;
  #lastTrouble = '';

  /** `again` is what is done some time after a failure, until `closing` aborts. */
  constructor(options: RetryOptions, again: () => Promise<void>, closing: AbortSignal) {
    this.#options = options;
    this.#again = again;
    this.#closing = closing;
  }

  /** A failure has been met; what was tried is tried again. */
  later(what: string, error: Error): void {
    if (this.#closing.aborted) return;
    this.#options.log.error('Replication of a volume has met a failure and is tried again.', { err: error });
    this.tellOnce('error', `${this.#options.volumeName}: ${what}: ${error.message}; it is tried again`);
    void this.pause().then(
      () => this.#again(),
      () => undefined,
    );
  }

  /** What was not to be had now may be had then; nothing has failed. */
  soon(): void {
    void sleep(this.#options.clock, LOOK_AGAIN_MS, this.#closing).then(
      () => this.#again(),
      () => undefined,
    );
  }

  /** The time between two attempts; rejects when replication is closed. */
  pause(): Promise<void> {
    return sleep(this.#options.clock, RETRY_MS, this.#closing);
  }

  /** Each attempt says the same again; the operator has read it. */
  tellOnce(level: 'warning' | 'error', text: string): void {
    if (text !== this.#lastTrouble) this.#options.onEvent(level, text);
    this.#lastTrouble = text;
  }

  /** It goes well again: the same trouble is news if it comes back. */
  goesWell(): void {
    this.#lastTrouble = '';
  }
}
