import { Duplex } from 'node:stream';
import type { Clock } from '../../platform/clock.js';
import { CarrierWatch } from './carrier-watch.js';
import type { ModemPort } from './modem-port.js';

/** How often the carrier wire is looked at, where there is one. */
const LOOK_MS = 500;

/**
 * The bytes of one call on a modem's port, until the carrier is gone: by the modem's word, by the carrier wire, or with
 * the device. Then it is destroyed with an error that says so. The port itself stays open, and is whose it was.
 */
export class CallStream extends Duplex {
  readonly #port: ModemPort;
  readonly #clock: Clock;
  #cancelLook: (() => void) | null = null;
  #carrierLost = false;

  constructor(port: ModemPort, clock: Clock, lineFeedDue: boolean) {
    super();
    this.#port = port;
    this.#clock = clock;
    const watch = new CarrierWatch(lineFeedDue);
    port.onGone((error) => this.destroy(error));
    port.read((arrived) => {
      const { bytes, lost } = watch.pass(arrived);
      // Frames are taken out as they come, at the speed of a modem: the stream never fills.
      if (bytes.length > 0) this.push(bytes);
      if (lost) this.#lose();
    });
    void this.#watchWire();
  }

  /** The modem is among its commands already. */
  get carrierLost(): boolean {
    return this.#carrierLost;
  }

  override _read(): void {
    // Bytes are pushed as they arrive.
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#port.write(chunk).then(
      () => done(),
      (error: unknown) => done(error as Error),
    );
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#cancelLook?.();
    this.#port.read(null);
    this.#port.onGone(() => undefined);
    done(error);
  }

  #lose(): void {
    this.#carrierLost = true;
    this.destroy(new Error('the carrier is lost'));
  }

  /** A wire that shows no carrier at the start of a call is not connected, or the modem does not drive it. */
  async #watchWire(): Promise<void> {
    if ((await this.#port.carrier()) !== true) return;
    this.#lookLater();
  }

  #lookLater(): void {
    if (this.destroyed) return;
    this.#cancelLook = this.#clock.after(LOOK_MS, () => {
      void this.#port.carrier().then((carrier) => {
        if (this.destroyed) return;
        if (carrier === false) this.#lose();
        else this.#lookLater();
      });
    });
  }
}
