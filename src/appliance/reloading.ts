import type { Configuration } from '../config/configuration.js';
import { SerialQueue } from '../platform/serial-queue.js';
import { ApplianceError } from './errors.js';
import type { EventLog } from './event-log.js';
import type { Refused } from './reload-plan.js';

/** Reads a configuration again and lets the appliance follow it, one time after the other; tells the operator. */
export class Reloading<Of extends Configuration> {
  readonly #role: Of['role'];
  readonly #events: EventLog;
  readonly #follow: (next: Of) => Promise<void>;
  readonly #queue = new SerialQueue();
  #isClosed = false;

  /** `follow` fails when it cannot; then nothing has changed. */
  constructor(role: Of['role'], events: EventLog, follow: (next: Of) => Promise<void>) {
    this.#role = role;
    this.#events = events;
    this.#follow = follow;
  }

  /** Never fails. */
  reload(load: () => Promise<Configuration>): Promise<void> {
    return this.#queue.run(async () => {
      if (this.#isClosed) return;
      try {
        const next = await load();
        if (next.role !== this.#role) throw refusal({ kind: 'refused', reasons: ['role'] });
        await this.#follow(next as Of);
        this.#events.add('info', 'the configuration was read again and counts from now on');
      } catch (error) {
        const hint = error instanceof ApplianceError && error.hint !== undefined ? ` (${error.hint})` : '';
        this.#events.add('error', `the configuration stays as it was: ${(error as Error).message}${hint}`);
      }
    });
  }

  /** Waits for the end of what is under way; nothing begins any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#queue.idle();
  }
}

export const refusal = ({ reasons }: Refused): ApplianceError =>
  new ApplianceError('refused', `a change of this needs a restart: ${reasons.join('; ')}`);
