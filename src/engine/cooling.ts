import type { Clock } from '../platform/clock.js';
import { SerialQueue } from '../platform/serial-queue.js';
import type { DeviceSync } from './device-sync.js';
import type { History } from './history.js';
import type { HotExtents } from './hot-extents.js';

/** How long after a first write the hot extents are looked at, in ms: as long as the kernel keeps a dirty page. */
const INTERVAL_MS = 30_000;

export interface CoolingParts {
  readonly hot: HotExtents;
  readonly history: History;
  readonly deviceSync: DeviceSync;
  readonly clock: Clock;
  /** Puts on disk what failed syncs have left in doubt; until that is done, what is hot stays hot. */
  readonly saveDoubts: () => Promise<void>;
  /** The hot log is broken; makes a new one if it can. */
  readonly mend: () => Promise<void>;
  readonly onOutcome: (error: unknown) => void;
}

/**
 * Syncs device, before-images and marks in the background, so that hot extents which are not written any more stop
 * being hot: half a minute after something was heated, at once when the log is getting full.
 */
export class BackgroundCooling {
  readonly #parts: CoolingParts;
  readonly #turns = new SerialQueue();
  #cancel: (() => void) | null = null;
  #isHurried = false;
  #isClosed = false;

  constructor(parts: CoolingParts) {
    this.#parts = parts;
  }

  /** Something is hot; `isCrowded`: too much. */
  heated(isCrowded: boolean): void {
    if (this.#isClosed) return;
    if (isCrowded && !this.#isHurried) {
      this.#isHurried = true;
      void this.cool();
    } else {
      this.#cancel ??= this.#parts.clock.after(INTERVAL_MS, () => void this.cool());
    }
  }

  /** Syncs everything now; never fails. */
  cool(): Promise<void> {
    this.#cancel?.();
    this.#cancel = null;
    return this.#turns.run(async () => {
      if (this.#isClosed) return;
      try {
        await this.#cool();
        this.#parts.onOutcome(null);
      } catch (error) {
        this.#parts.onOutcome(error);
      } finally {
        this.#isHurried = false;
        if (!this.#parts.hot.isEmpty) this.heated(false);
      }
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancel?.();
    await this.#turns.idle();
  }

  async #cool(): Promise<void> {
    const { hot, history, deviceSync, saveDoubts, mend } = this.#parts;
    if (hot.isBroken) await mend();
    const cooling = hot.beginCooling();
    await deviceSync.sync();
    await history.readers.run(async () => {
      for (const epoch of history.unsettled()) await epoch.sync(() => undefined);
    });
    await saveDoubts();
    await hot.endCooling(cooling);
  }
}
