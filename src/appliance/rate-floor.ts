import type { Millis } from '../../protocol/units.js';

/** Below it a call is not worth its cost. */
export interface RateFloorSettings {
  /** Parcel bytes that arrive, both directions together; what is sent again does not count. */
  readonly minBytesPerSecond: number;
  /** Over which time, ms. */
  readonly overMs: number;
}

/** Tells a call that has become hopeless: looked at every second or so, it judges each stretch in which there was work. */
export class RateFloor {
  readonly #settings: RateFloorSettings;
  #from: { readonly at: Millis; readonly moved: number } | null = null;

  constructor(settings: RateFloorSettings) {
    this.#settings = settings;
  }

  /** `moved`: bytes since the call began. `isBusy`: there are parcels to carry. True: too little has moved. */
  look(now: Millis, moved: number, isBusy: boolean): boolean {
    const from = this.#from;
    if (!isBusy || from === null) {
      this.#from = isBusy ? { at: now, moved } : null;
      return false;
    }
    const elapsed = now - from.at;
    if (elapsed < this.#settings.overMs) return false;
    this.#from = { at: now, moved };
    return (moved - from.moved) * 1000 < this.#settings.minBytesPerSecond * elapsed;
  }
}
