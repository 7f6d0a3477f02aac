import type { SegmentLog } from './segment-log.js';

/** Logs of a set with open files. A primary sends two parcels at a time; one that spreads its bytes pays with its own time. */
const MAX_OPEN = 8;

/** The logs of a set whose files may be open: those that were used last. One call at a time. */
export class OpenLogs {
  readonly #logs = new Set<SegmentLog>();

  /** The log is about to be used. */
  async use(log: SegmentLog): Promise<void> {
    this.#logs.delete(log);
    this.#logs.add(log);
    for (const oldest of this.#logs) {
      if (this.#logs.size <= MAX_OPEN) return;
      this.#logs.delete(oldest);
      await oldest.rest();
    }
  }
}
