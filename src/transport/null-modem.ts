import { LineCutter } from '../../protocol/framing/line-cutter.js';
import { sleep, type Clock } from '../platform/clock.js';
import { TransportError } from './errors.js';
import { Pace } from './pace.js';
import type { Dialer, Listener, Transport, TransportHandler } from './transport.js';

const BITS_PER_BYTE = 10;
const RETRY_MS = 200;

/**
 * A null-modem cable inside the process, at the speed of a real one: what goes in at one end comes out at the other
 * when its last bit has had the time to cross. For `farcopy demo`.
 */
export class NullModem {
  readonly #clock: Clock;
  readonly #bytesPerSecond: number;
  #connected = true;
  #caller: NullModemEnd | null = null;
  #answerer: NullModemEnd | null = null;

  constructor(clock: Clock, baudRate: number) {
    this.#clock = clock;
    this.#bytesPerSecond = baudRate / BITS_PER_BYTE;
  }

  /** Pulls the plug: what is on the wire is lost and both ends see the carrier drop. */
  cut(): void {
    this.#connected = false;
    const error = new TransportError('lost', 'null modem: carrier lost');
    this.#caller?.drop(error);
    this.#answerer?.drop(error);
  }

  /** Plugs the cable in again. */
  restore(): void {
    this.#connected = true;
  }

  readonly dialer: Dialer = {
    name: 'null modem',
    type: 'null-modem',
    dial: (signal) =>
      Promise.resolve().then(() => {
        signal.throwIfAborted();
        return (this.#caller = this.#open(() => this.#answerer));
      }),
  };

  readonly listener: Listener = {
    name: 'null modem',
    type: 'null-modem',
    listen: async (onCall, report, signal) => {
      while (!signal.aborted) {
        try {
          this.#answerer = this.#open(() => this.#caller);
          report(null);
          await onCall(this.#answerer);
        } catch (error) {
          if (!(error instanceof TransportError)) throw error;
          report(error);
        }
        await sleep(this.#clock, RETRY_MS, signal).catch(() => undefined);
      }
    },
  };

  #open(peer: () => NullModemEnd | null): NullModemEnd {
    if (!this.#connected) throw new TransportError('no-device', 'null modem: the cable is not plugged in');
    return new NullModemEnd(this.#clock, this.#bytesPerSecond, peer);
  }
}

class NullModemEnd implements Transport {
  readonly name = 'null modem';
  readonly type = 'null-modem';
  readonly bytesPerSecond: number;
  readonly #clock: Clock;
  readonly #pace: Pace;
  readonly #peer: () => NullModemEnd | null;
  readonly #cutter = new LineCutter();
  #handler: TransportHandler | null = null;
  #arrivesAt = 0;
  #bytesSent = 0;
  #bytesReceived = 0;
  #ended = false;
  /** What is on the wire arrives even after a hang-up, but not over a cable that was pulled. */
  #cut = false;

  constructor(clock: Clock, bytesPerSecond: number, peer: () => NullModemEnd | null) {
    this.bytesPerSecond = bytesPerSecond;
    this.#clock = clock;
    this.#peer = peer;
    this.#pace = new Pace(clock, bytesPerSecond, () => this.#handler?.onReady());
  }

  get bytesSent(): number {
    return this.#bytesSent;
  }

  get bytesReceived(): number {
    return this.#bytesReceived;
  }

  get ready(): boolean {
    return !this.#ended && this.#pace.ready;
  }

  attach(handler: TransportHandler): void {
    this.#handler = handler;
    if (this.#ended) handler.onClosed(new TransportError('lost', 'null modem: carrier lost'));
  }

  send(frame: Uint8Array): void {
    if (this.#ended) return;
    this.#bytesSent += frame.byteLength;
    this.#pace.spend(frame.byteLength);
    const now = this.#clock.now();
    this.#arrivesAt = Math.max(this.#arrivesAt, now) + (frame.byteLength * 1000) / this.bytesPerSecond;
    this.#clock.after(this.#arrivesAt - now, () => {
      if (!this.#cut) this.#peer()?.receive(frame);
    });
  }

  abandon(): void {
    // The demo's line is never silent for long.
  }

  receive(frame: Uint8Array): void {
    if (this.#ended) return;
    this.#bytesReceived += frame.byteLength;
    for (const received of this.#cutter.push(frame)) this.#handler?.onFrame(received);
  }

  drop(error: TransportError | null): void {
    this.#cut ||= error !== null;
    if (this.#ended) return;
    this.#ended = true;
    this.#pace.stop();
    this.#handler?.onClosed(error);
  }

  close(): Promise<void> {
    this.drop(null);
    return Promise.resolve();
  }
}
