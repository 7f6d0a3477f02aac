import { NO_CALL, type CallTotals } from '../replication/call-totals.js';
import type { Call } from '../replication/call.js';
import type { Transport, TransportType } from '../transport/transport.js';
import type { LinkState, LinkStatus } from './status.js';

/** On a serial line: start bit, eight data bits, stop bit. */
const BITS_PER_BYTE = 10;

/** Bytes and frames of one configured link over all its calls, for `status` and for what a sync has cost. */
export class LinkMeter {
  readonly name: string;
  readonly type: TransportType;
  state: LinkState = 'idle';
  lastError: string | null = null;
  readonly #peers: string[] = [];
  #bytesPerSecond: number | undefined;
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
    this.#bytesPerSecond = transport.bytesPerSecond;
    return () => {
      if (this.#live.delete(entry)) this.#past = add(this.#past, totalsOf(transport, call));
    };
  }

  /** A session with this peer is up over the link; the returned function says that it is no more. */
  connected(peer: string): () => void {
    this.#peers.push(peer);
    this.state = 'connected';
    this.lastError = null;
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      this.#peers.splice(this.#peers.indexOf(peer), 1);
      if (this.#peers.length === 0) this.state = 'waiting';
    };
  }

  get totals(): Totals {
    return [...this.#live].reduce(
      (sum, { transport, call }) => add(sum, totalsOf(transport, call)),
      this.#past,
    );
  }

  get status(): LinkStatus {
    const { name, type, state, lastError } = this;
    const peer = this.#peers.length === 0 ? null : [...new Set(this.#peers)].join(', ');
    const rate = this.#bytesPerSecond;
    const bitsPerSecond = rate === undefined ? null : Math.round(rate * BITS_PER_BYTE);
    return { name, type, state, peer, ...this.totals, lastError, bitsPerSecond };
  }
}

/** Since the appliance started; bytes as they crossed the port. */
export interface Totals extends CallTotals {
  readonly bytesSent: number;
  readonly bytesReceived: number;
}

export const ZERO: Totals = { ...NO_CALL, bytesSent: 0, bytesReceived: 0 };

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
    bytesDuplicate: a.bytesDuplicate + sign * b.bytesDuplicate,
    payloadSent: a.payloadSent + sign * b.payloadSent,
    payloadReceived: a.payloadReceived + sign * b.payloadReceived,
    handshakeSent: a.handshakeSent + sign * b.handshakeSent,
    handshakeReceived: a.handshakeReceived + sign * b.handshakeReceived,
  };
}

export const totalsOf = (transport: Transport, call: Call): Totals => ({
  bytesSent: transport.bytesSent,
  bytesReceived: transport.bytesReceived,
  ...call.totals,
});
