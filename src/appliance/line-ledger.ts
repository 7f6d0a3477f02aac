import type { Role } from '../../protocol/handshake/roles.js';
import {
  combineLines,
  NO_LINE_BYTES,
  type LINE_KINDS,
  type LineBytes,
  type LineKinds,
} from '../../protocol/set-account.js';
import type { SetLedger } from '../replication/set-ledger.js';
import type { Totals } from './link-meter.js';

interface Entry {
  line: LineBytes;
  /** Parcel bytes of this volume that have arrived since the last settlement. */
  moved: number;
}

/**
 * Whose the bytes are that cross the lines to one peer: of the volume whose set is under way. Where several are, data
 * go by what of each has arrived meanwhile, the rest in equal parts. Nothing is lost or counted twice: the accounts
 * of the sets add up to what crossed while there was one, and the handshakes before.
 */
export class LineLedger implements SetLedger {
  readonly #entries = new Map<string, Entry>();
  #total: () => LineBytes = () => NO_LINE_BYTES;
  #settled: LineBytes = NO_LINE_BYTES;
  /** Handshakes since the last set: a call may begin before there is anything to send. */
  #greetings: LineBytes = NO_LINE_BYTES;

  /** Where the peer's bytes are counted, since whenever. */
  watch(total: () => LineBytes): void {
    this.#total = total;
    this.#settled = total();
  }

  begin(volume: string): void {
    if (this.#entries.has(volume)) return;
    this.#settle();
    this.#entries.set(volume, { line: this.#greetings, moved: 0 });
    this.#greetings = NO_LINE_BYTES;
  }

  moved(volume: string, bytes: number): void {
    const entry = this.#entries.get(volume);
    if (entry !== undefined) entry.moved += bytes;
  }

  account(volume: string): LineBytes | null {
    this.#settle();
    const line = this.#entries.get(volume)?.line;
    // What a call had sent for nothing may turn out to have arrived after all.
    return line === undefined ? null : combineLines(line, line, (bytes) => Math.max(0, bytes));
  }

  end(volume: string): LineBytes | null {
    const line = this.account(volume);
    this.#entries.delete(volume);
    return line;
  }

  #settle(): void {
    const total = this.#total();
    let rest = combineLines(total, this.#settled, (now, before) => now - before);
    this.#settled = total;
    if (this.#entries.size === 0) {
      this.#greetings = combineLines(this.#greetings, rest, (sum, bytes, kind) =>
        kind === 'handshake' ? sum + bytes : 0,
      );
      return;
    }
    let left = this.#entries.size;
    let moved = [...this.#entries.values()].reduce((sum, entry) => sum + entry.moved, 0);
    for (const entry of this.#entries.values()) {
      const even = 1 / left;
      const share: Record<(typeof LINE_KINDS)[number], number> = {
        data: moved === 0 ? even : entry.moved / moved,
        control: even,
        repeated: even,
        handshake: even,
      };
      const part = combineLines(rest, rest, (bytes, _, kind) => Math.round(bytes * share[kind]));
      entry.line = combineLines(entry.line, part, (a, b) => a + b);
      rest = combineLines(rest, part, (a, b) => a - b);
      moved -= entry.moved;
      left--;
      entry.moved = 0;
    }
  }
}

/** What the counters of one side say of both directions. */
export function lineBytes(totals: Totals, role: Role): LineBytes {
  const repeated = Math.min(totals.bytesRepeated, totals.payloadSent);
  const sent: LineKinds = {
    data: totals.payloadSent - repeated,
    control: totals.bytesSent - totals.payloadSent - totals.handshakeSent,
    repeated,
    handshake: totals.handshakeSent,
  };
  const received: LineKinds = {
    data: totals.payloadReceived,
    control: totals.bytesReceived - totals.payloadReceived - totals.bytesDuplicate - totals.handshakeReceived,
    repeated: totals.bytesDuplicate,
    handshake: totals.handshakeReceived,
  };
  return role === 'primary'
    ? { toBackup: sent, toPrimary: received }
    : { toBackup: received, toPrimary: sent };
}
