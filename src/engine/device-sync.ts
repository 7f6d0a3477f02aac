import type { File } from '../platform/files.js';

/**
 * Syncs of one device. Requests that come while one runs share the next, since only a sync that began after a write
 * covers it. A failure goes to everybody who waited for it, and is reported, because the kernel tells it only once.
 */
export class DeviceSync {
  #running: Promise<void> | null = null;
  #next: Promise<void> | null = null;

  constructor(
    readonly device: File,
    readonly onFailed: (error: unknown) => void,
  ) {}

  /** Resolves when everything written to the device before the call is on stable storage. */
  sync(): Promise<void> {
    if (this.#running === null) return this.#start();
    this.#next ??= this.#running
      .catch(() => undefined)
      .then(() => {
        this.#next = null;
        return this.#start();
      });
    return this.#next;
  }

  #start(): Promise<void> {
    const running = this.device
      .sync()
      .catch((error: unknown) => {
        this.onFailed(error);
        throw error;
      })
      .finally(() => {
        if (this.#running === running) this.#running = null;
      });
    this.#running = running;
    return running;
  }
}
