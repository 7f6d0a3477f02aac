import type { Clock } from '../platform/clock.js';
import type { Log } from '../platform/log.js';
import type { ApplianceEvent } from './status.js';

const KEPT = 200;

/** What the operator should know, newest last, the last `KEPT`; each also goes to the log. */
export class EventLog {
  readonly #events: ApplianceEvent[] = [];
  readonly #clock: Clock;
  readonly #log: Log;

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  get events(): readonly ApplianceEvent[] {
    return this.#events;
  }

  add(level: ApplianceEvent['level'], text: string): void {
    this.#events.push({ time: new Date(this.#clock.wall()).toISOString(), level, text });
    if (this.#events.length > KEPT) this.#events.shift();
    if (level === 'info') this.#log.info(text);
    else if (level === 'warning') this.#log.warn(text);
    else this.#log.error(text);
  }
}
