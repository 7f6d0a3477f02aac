import type { File } from '../platform/files.js';
import { SharedSync } from './shared-sync.js';

/**
 * Syncs of one device. The kernel tells of a failure once and then forgets it: so each is reported, every flush hears
 * of one that came while it waited, and one that no flush heard of is owed to the next.
 */
export class DeviceSync {
  readonly #shared: SharedSync;
  #failures = 0;
  #lastFailure: unknown;
  #isOwed = false;

  constructor(
    readonly device: File,
    readonly onFailed: (error: unknown) => void,
  ) {
    this.#shared = new SharedSync(async () => {
      try {
        await (device.syncContent?.() ?? device.sync());
      } catch (error) {
        this.#failures++;
        this.#lastFailure = error;
        this.#isOwed = true;
        onFailed(error);
        throw error;
      }
    });
  }

  /** A client's flush: resolves when everything written to the device before the call is on stable storage. */
  async flush(): Promise<void> {
    const before = this.#failures;
    await this.#shared.sync().catch(() => undefined);
    if (this.#failures === before && !this.#isOwed) return;
    this.#isOwed = false;
    throw this.#lastFailure;
  }

  /** The same for ourselves. */
  sync(): Promise<void> {
    return this.#shared.sync();
  }
}
