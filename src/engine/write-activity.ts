import type { Clock } from '../platform/clock.js';

/**
 * When a volume was last written, and whether its writers have brought to an end what they wrote: quiet is the time
 * without a write since the flush that covered the last one. A write with FUA is its own end, if all before it was
 * flushed (so a journal commits: flush, then one FUA write).
 */
export class WriteActivity {
  readonly #clock: Clock;
  /** Number of the last write that a flush has to cover, and of the last that one did. */
  #written = 0;
  #covered = 0;
  #underWay = 0;
  /** When the last write ended, or the flush came that covered it. */
  #since: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#since = clock.now();
  }

  /** A write is admitted; before it can have any effect. `ended` follows, also when it fails. */
  began(fua: boolean): void {
    this.#underWay++;
    if (!fua) this.#written++;
  }

  ended(): void {
    this.#underWay--;
    this.#since = this.#clock.now();
  }

  /** A flush begins; the answer is to be called when it has succeeded. */
  flush(): () => void {
    const covers = this.#underWay === 0 ? this.#written : this.#covered;
    return () => {
      if (covers <= this.#covered) return;
      this.#covered = covers;
      this.#since = this.#clock.now();
    };
  }

  /** How long nothing was written, in ms; null: something is being written, or the last write was not flushed. */
  quietForMs(hasWriters: boolean): number | null {
    if (this.#underWay > 0) return null;
    // Who has gone away writes no more.
    if (hasWriters && this.#covered < this.#written) return null;
    return Math.max(0, this.#clock.now() - this.#since);
  }
}
