import { droppable, mergeable } from './epoch-list.js';
import type { History } from './history.js';
import { mergeEpochs } from './merge.js';

/** Drops and merges epochs that nobody needs, in the background, whenever it is told that pins have moved. */
export class Tidier {
  readonly #stop = new AbortController();
  #running: Promise<void> | null = null;
  #again = false;

  constructor(
    readonly history: History,
    /** Tidying failed with `error` and is tried again at the next kick; or, with null, it went well. */
    readonly onOutcome: (error: unknown) => void,
  ) {}

  kick(): void {
    this.#again = true;
    if (this.#running !== null || this.#stop.signal.aborted) return;
    this.#running = this.#run().finally(() => {
      this.#running = null;
    });
  }

  /** Resolves when everything that can go is gone. */
  async settled(): Promise<void> {
    while (this.#running !== null) await this.#running;
  }

  /** Stops at the next slice. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.settled();
  }

  async #run(): Promise<void> {
    try {
      while (this.#again) {
        this.#again = false;
        while (!this.#stop.signal.aborted && (await this.#step()));
        await this.history.dropStaleCompared();
      }
      this.onOutcome(null);
    } catch (error) {
      if (!this.#stop.signal.aborted) this.onOutcome(error);
    }
  }

  async #step(): Promise<boolean> {
    const { leases } = this.history;
    const unneeded = droppable(leases.on(this.history.record));
    if (unneeded.size > 0) {
      return this.history.remove(unneeded, (record) => {
        const now = droppable(leases.on(record));
        return [...unneeded].every((number) => now.has(number));
      });
    }
    const pair = mergeable(leases.on(this.history.record), (number) => this.history.epoch(number).settled);
    if (pair === null) return false;
    const [earlier, later] = pair;
    await mergeEpochs(
      this.history,
      this.history.epoch(earlier),
      this.history.epoch(later),
      this.#stop.signal,
    );
    return true;
  }
}
