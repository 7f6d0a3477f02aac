/** Requests for a sync that come while one runs share the next, since only one that began after a write covers it. */
export class SharedSync {
  #running: Promise<void> | null = null;
  #next: Promise<void> | null = null;

  constructor(readonly syncNow: () => Promise<void>) {}

  /** Resolves when a sync that began after this call has ended; rejects for everybody who waited for it. */
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
    const running = this.syncNow().finally(() => {
      if (this.#running === running) this.#running = null;
    });
    this.#running = running;
    return running;
  }
}
