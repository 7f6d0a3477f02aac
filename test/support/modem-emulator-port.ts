import type { Clock } from '../../src/platform/clock.js';
import { TransportError } from '../../src/transport/errors.js';
import type { ModemAccess, ModemSettings } from '../../src/transport/modem/modem.js';
import type { ModemPort } from '../../src/transport/modem/modem-port.js';
import { PortShare } from '../../src/transport/modem/port-share.js';
import type { EmulatedModem } from './modem-emulator.js';

/** What the cable between computer and modem has. */
export interface Cable {
  /** DTR and DCD are there and do something. */
  readonly wires: boolean;
  /** DTR can be set, and nothing happens. */
  readonly deafDtr?: boolean;
  /** Every byte comes alone. */
  readonly byteByByte?: boolean;
  /** What comes within so many ms comes together, as from a busy system. */
  readonly batch?: { readonly clock: Clock; readonly ms: number };
}

/** Devices without a system: emulated modems under names. A device that is opened twice at a time fails the test. */
export class EmulatedDevices implements ModemAccess {
  /** What was said to the modems and by them, a line each. */
  readonly said: string[] = [];
  readonly transcript = (_device: string, text: string): void => void this.said.push(text);

  readonly #modems = new Map<string, { readonly modem: EmulatedModem; readonly cable: Cable }>();
  readonly #shares = new Map<string, PortShare>();
  readonly #open = new Map<string, EmulatedPort>();

  plug(device: string, modem: EmulatedModem, cable: Cable = { wires: false }): void {
    this.#modems.set(device, { modem, cable });
  }

  /** The device vanishes, as a USB adapter that is pulled out. */
  pull(device: string): void {
    this.#modems.delete(device);
    this.#open.get(device)?.vanish();
    this.#open.delete(device);
  }

  isOpen(device: string): boolean {
    return this.#open.has(device);
  }

  async open({ device }: ModemSettings): Promise<ModemPort> {
    await Promise.resolve();
    const found = this.#modems.get(device);
    if (found === undefined) throw new TransportError('no-device', `${device}: cannot be opened`);
    if (this.#open.has(device)) throw new Error(`${device} was opened twice`);
    const port = new EmulatedPort(found.modem, found.cable, () => this.#open.delete(device));
    this.#open.set(device, port);
    return port;
  }

  share(device: string): PortShare {
    const share = this.#shares.get(device) ?? new PortShare();
    this.#shares.set(device, share);
    return share;
  }
}

class EmulatedPort implements ModemPort {
  readonly #modem: EmulatedModem;
  readonly #cable: Cable;
  readonly #onClose: () => void;
  readonly #kept: Uint8Array[] = [];
  readonly #batched: Uint8Array[] = [];
  #take: ((bytes: Uint8Array) => void) | null = null;
  #gone: Error | null = null;
  #tellGone: (error: Error) => void = () => undefined;

  constructor(modem: EmulatedModem, cable: Cable, onClose: () => void) {
    this.#modem = modem;
    this.#cable = cable;
    this.#onClose = onClose;
    modem.attach((bytes) => {
      const { batch } = cable;
      if (batch === undefined) {
        this.#arrive(bytes);
        return;
      }
      if (this.#batched.length === 0) {
        batch.clock.after(batch.ms, () => this.#arrive(Buffer.concat(this.#batched.splice(0))));
      }
      this.#batched.push(bytes);
    });
    if (cable.wires) modem.setDtr(true);
  }

  #arrive(bytes: Uint8Array): void {
    const parts = this.#cable.byteByByte === true ? [...bytes].map((byte) => Uint8Array.of(byte)) : [bytes];
    for (const part of parts) {
      if (this.#take === null) this.#kept.push(part);
      else this.#take(part);
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    await Promise.resolve();
    if (this.#gone !== null) throw this.#gone;
    this.#modem.write(bytes);
  }

  read(take: ((bytes: Uint8Array) => void) | null): void {
    this.#take = take;
    while (this.#take !== null && this.#take === take && this.#kept.length > 0) {
      this.#take(this.#kept.shift() as Uint8Array);
    }
  }

  unread(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#kept.unshift(bytes);
  }

  onGone(tell: (error: Error) => void): void {
    this.#tellGone = tell;
    if (this.#gone !== null) tell(this.#gone);
  }

  carrier(): Promise<boolean | null> {
    return Promise.resolve(this.#cable.wires && this.#gone === null ? this.#modem.carrier : null);
  }

  setDtr(on: boolean): Promise<boolean> {
    if (this.#gone !== null) return Promise.resolve(false);
    if (this.#cable.wires) this.#modem.setDtr(on);
    return Promise.resolve(this.#cable.wires || this.#cable.deafDtr === true);
  }

  close(): Promise<void> {
    if (this.#gone === null) {
      if (this.#cable.wires) this.#modem.setDtr(false);
      this.#modem.attach(() => undefined);
      this.#onClose();
    }
    return Promise.resolve();
  }

  vanish(): void {
    this.#gone = new Error('the device is gone');
    this.#modem.attach(() => undefined);
    this.#tellGone(this.#gone);
  }
}
