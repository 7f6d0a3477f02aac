import type { Clock } from '../platform/clock.js';
import { RateMeter, type Progressed } from './rate-meter.js';

const LOOK_MS = 2000;

/** How fast each transfer goes, by looking at all of them every now and then. */
export class TransferRates {
  readonly #clock: Clock;
  readonly #transfers: () => ReadonlyMap<string, Progressed>;
  readonly #meters = new Map<string, RateMeter>();
  #cancel: (() => void) | null = null;

  /** `transfers`: those under way, under a name each. */
  constructor(clock: Clock, transfers: () => ReadonlyMap<string, Progressed>) {
    this.#clock = clock;
    this.#transfers = transfers;
    this.#look();
  }

  /** By the rate seen; null while it is unknown. */
  secondsLeft(transfer: string, of: string): number | null {
    return this.#meters.get(transfer)?.secondsLeft(of) ?? null;
  }

  close(): void {
    this.#cancel?.();
  }

  #look(): void {
    const transfers = this.#transfers();
    for (const name of this.#meters.keys()) if (!transfers.has(name)) this.#meters.delete(name);
    for (const [name, progressed] of transfers) {
      const meter = this.#meters.get(name) ?? new RateMeter();
      this.#meters.set(name, meter);
      meter.observe(this.#clock.now(), progressed);
    }
    this.#cancel = this.#clock.after(LOOK_MS, () => this.#look());
  }
}
