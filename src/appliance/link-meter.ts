import type { CallTotals } from '../replication/call-totals.js';
import type { Call } from '../replication/call.js';
import type { Transport, TransportType } from '../transport/transport.js';
import type { LinkState, LinkStatus } from './status.js';

/** Bytes and frames of one configured link over all its calls, for `status` and for what a sync has cost. */
export class LinkMeter {
  readonly name: string;
  readonly type: TransportType;
  state: LinkState = 'idle';
  peer: string | null = null;
  lastError: string | null = null;
  readonly #live = new Set<{ readonly transport: Transport; readonly call: Call }>();
  #past: Totals = ZERO;

  constructor(name: string, type: TransportType) {
    this.name = name;
    this.type = type;
  }

  /** Counts a call in; the returned function counts it as past. */
  watch(transport: Transport, call: Call): () => void {
    const entry = { transport, call };
    this.#live.add(entry);
    return () => {
      if (this.#live.delete(entry)) this.#past = add(this.#past, totalsOf(transport, call));
    };
  }

  get totals(): Totals {
    return [...this.#live].reduce(
      (sum, { transport, call }) => add(sum, totalsOf(transport, call)),
      this.#past,
    );
  }

  get status(): LinkStatus {
    const { name, type, state, peer, lastError } = this;
    return { name, type, state, peer, ...this.totals, lastError };
  }
}

/** Since the appliance started; bytes as they crossed the port. */
export interface Totals extends CallTotals {
  readonly bytesSent: number;
  readonly bytesReceived: number;
}

export const ZERO: Totals = {
  bytesSent: 0,
  bytesReceived: 0,
  framesSent: 0,
  framesReceived: 0,
  framesDamaged: 0,
  framesRepeated: 0,
  bytesRepeated: 0,
};

export const add = (a: Totals, b: Totals): Totals => combine(a, b, 1);
export const subtract = (a: Totals, b: Totals): Totals => combine(a, b, -1);

function combine(a: Totals, b: Totals, sign: 1 | -1): Totals {
  return {
    bytesSent: a.bytesSent + sign * b.bytesSent,
    bytesReceived: a.bytesReceived + sign * b.bytesReceived,
    framesSent: a.framesSent + sign * b.framesSent,
    framesReceived: a.framesReceived + sign * b.framesReceived,
    framesDamaged: a.framesDamaged + sign * b.framesDamaged,
    framesRepeated: a.framesRepeated + sign * b.framesRepeated,
    bytesRepeated: a.bytesRepeated + sign * b.bytesRepeated,
  };
}

const totalsOf = (transport: Transport, call: Call): Totals => ({
  bytesSent: transport.bytesSent,
  bytesReceived: transport.bytesReceived,
  ...call.totals,
});
