import { NO_CALL } from '../replication/call-totals.js';
import type { SessionLink } from '../replication/call.js';
import type { Transport } from '../transport/transport.js';
import { lineBytes, LineLedger } from './line-ledger.js';
import { add, ZERO, type Totals } from './link-meter.js';

/** What crossed between a backup and one primary, on all calls that led to a session, and whose sets it was for. */
export class PrimaryLines {
  readonly ledger = new LineLedger();
  #past: Totals = ZERO;
  /** Calls by their lines: one can have several sessions, and its counters are of all of them. */
  readonly #calls = new Map<Transport, () => Totals>();
  /** Those whose last session is over. */
  readonly #ended = new Set<Transport>();

  constructor() {
    this.ledger.watch(() => lineBytes(this.#totals, 'backup'));
  }

  /** A session is up; the returned function says that it is over. */
  meet(transport: Transport, link: SessionLink): () => void {
    this.#forgetEnded(transport);
    const count = (): Totals => ({
      ...(link.totals ?? NO_CALL),
      bytesSent: transport.bytesSent,
      bytesReceived: transport.bytesReceived,
    });
    this.#calls.set(transport, count);
    return () => {
      if (this.#calls.get(transport) !== count) return;
      const last = count();
      this.#calls.set(transport, () => last);
      this.#ended.add(transport);
    };
  }

  /** Other calls than this one will not have another session. */
  #forgetEnded(transport: Transport): void {
    for (const ended of this.#ended) {
      if (ended !== transport) {
        this.#past = add(this.#past, this.#calls.get(ended)?.() ?? ZERO);
        this.#calls.delete(ended);
      }
      this.#ended.delete(ended);
    }
  }

  get #totals(): Totals {
    return [...this.#calls.values()].reduce((sum, count) => add(sum, count()), this.#past);
  }
}
