import type { Clock } from '../platform/clock.js';

/** How far ahead of the line bytes may be handed over: covers a late timer, and nothing more. */
const LEAD_MS = 80;

/**
 * Knows when a line of a fixed speed has room. The operating system takes much more than the line can carry (12 KB on
 * a pty, two seconds at 57600 baud), and everything urgent would wait behind it.
 */
export class Pace {
  readonly #clock: Clock;
  readonly #bytesPerMs: number;
  readonly #onReady: () => void;
  #freeAt = 0;
  #cancel: (() => void) | null = null;

  constructor(clock: Clock, bytesPerSecond: number, onReady: () => void) {
    this.#clock = clock;
    this.#bytesPerMs = bytesPerSecond / 1000;
    this.#onReady = onReady;
  }

  get ready(): boolean {
    return this.#waitLeft <= 0;
  }

  /** How long the line is still busy with what was handed over, ms. */
  get queuedMs(): number {
    return Math.max(0, this.#freeAt - this.#clock.now());
  }

  /** These bytes were handed over; `onReady` is called when there is room for the next. */
  spend(bytes: number): void {
    this.#freeAt = Math.max(this.#freeAt, this.#clock.now()) + bytes / this.#bytesPerMs;
    this.stop();
    const wait = this.#waitLeft;
    if (wait > 0) this.#wakeAfter(wait);
  }

  get #waitLeft(): number {
    return this.#freeAt - this.#clock.now() - LEAD_MS;
  }

  /**
   * A timer fires early by what the event loop has spent since it last looked at the time, and by the part of a
   * millisecond that is cut off. The one reading of the clock here decides both: armed again, or told.
   */
  #wakeAfter(wait: number): void {
    this.#cancel = this.#clock.after(Math.ceil(wait), () => {
      const rest = this.#waitLeft;
      if (rest > 0) this.#wakeAfter(rest);
      else this.#onReady();
    });
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = null;
  }
}
