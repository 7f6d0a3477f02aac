import { formatCount } from '../config/units.js';
import type { KeepPolicy } from '../config/configuration.js';
import { prune } from '../store/prune.js';
import type { Store } from '../store/store.js';
import type { EventLog } from './event-log.js';

export interface RetentionOptions {
  readonly store: Store;
  /** null: keep everything. */
  readonly keepOf: (primary: string) => KeepPolicy | null;
  readonly events: EventLog;
}

/** Removes the restore points that are not to be kept: of every volume at the start, and of one after each apply. */
export class Retention {
  readonly #options: RetentionOptions;
  readonly #abort = new AbortController();
  readonly #running = new Map<string, Promise<void>>();
  /** Volumes to which something was applied while they were being tidied. */
  readonly #again = new Set<string>();
  /** The last failure of each volume, so that it is told once and not at every apply. */
  readonly #told = new Map<string, string>();

  constructor(options: RetentionOptions) {
    this.#options = options;
  }

  tidyAll(): void {
    for (const { primary, volume, state } of this.#options.store.volumes()) {
      if (state !== null) this.tidy(primary, volume);
    }
  }

  /** In the background, one removal a volume at a time. */
  tidy(primary: string, volume: string): void {
    const name = `${primary}/${volume}`;
    if (this.#running.has(name)) {
      this.#again.add(name);
      return;
    }
    const running = this.#tidy(primary, volume).finally(() => {
      this.#running.delete(name);
      if (this.#again.delete(name) && !this.#abort.signal.aborted) this.tidy(primary, volume);
    });
    this.#running.set(name, running);
  }

  /** Before the store is closed. */
  async close(): Promise<void> {
    this.#abort.abort();
    await Promise.all(this.#running.values());
  }

  async #tidy(primary: string, volume: string): Promise<void> {
    const { store, keepOf, events } = this.#options;
    const name = `${primary}/${volume}`;
    const { signal } = this.#abort;
    try {
      const copy = await store.volume(primary, volume);
      const { kept, removed } = await prune(copy, keepOf(primary), { signal });
      this.#told.delete(name);
      if (removed.length === 0) return;
      const points = formatCount(removed.length, 'restore point');
      events.add('info', `${name}: ${points} removed by \`keep\`, ${kept.length} left`);
    } catch (cause) {
      const why = (cause as Error).message;
      if (signal.aborted || this.#told.get(name) === why) return;
      this.#told.set(name, why);
      events.add('warning', `${name}: restore points that are not to be kept stay for now: ${why}`);
    }
  }
}
