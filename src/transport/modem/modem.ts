import { sleep, type Clock } from '../../platform/clock.js';
import { TransportError } from '../errors.js';
import { BITS_PER_BYTE, cutSerial, REOPEN_MS, type SerialSettings } from '../serial.js';
import { StreamTransport } from '../stream-transport.js';
import type { Dialer, Listener, Transport } from '../transport.js';
import { answering, makeReady } from './answering.js';
import { CallStream } from './call-stream.js';
import { calling, type Connected } from './calling.js';
import { converse, type Conversed, type ConverseOptions } from './converse.js';
import type { Remainder } from './dialogue.js';
import { hangUp, hangUpAmongCommands } from './hanging-up.js';
import { openModemPort, type ModemPort } from './modem-port.js';
import { PortShare } from './port-share.js';

/** Where each talk with a modem is written down, line by line. */
export type Transcript = (device: string, text: string) => void;

export interface ModemSettings extends SerialSettings {
  /** Commands that set the modem up, each beginning with AT; null: `DEFAULT_INIT`. */
  readonly init: readonly string[] | null;
  readonly flow: 'rtscts' | 'none';
}

export interface ModemDialSettings extends ModemSettings {
  /** The number, as the modem dials it. */
  readonly dial: string;
  /** How long dialling, ringing and training may take. */
  readonly connectTimeoutMs: number;
}

export interface ModemListenSettings extends ModemSettings {
  readonly answerAfter: number;
}

/** What a modem is reached by; a parameter, so that tests need no device. */
export interface ModemAccess {
  open(settings: ModemSettings): Promise<ModemPort>;
  /** The one share of a device. */
  share(device: string): PortShare;
  readonly transcript?: Transcript;
}

/** How long dialling waits for a call that another has on the modem. */
const IN_CALL_MS = 30_000;
/** DTR low: the modem's own limit (S25) is far below. */
const DTR_LOW_MS = 500;
const DTR_BACK_MS = 200;

/** A device belongs to the whole process, whoever made the lines. */
const shares = new Map<string, PortShare>();

/** The modems of this machine. */
export const systemModems = (transcript: Transcript): ModemAccess => ({ ...systemAccess, transcript });

const systemAccess: ModemAccess = {
  open: openModemPort,
  share(device) {
    const share = shares.get(device) ?? new PortShare();
    shares.set(device, share);
    return share;
  },
};

/** A Hayes modem as the calling side. Each `dial` is one attempt; when to try again is the caller's to say. */
export function modemDialer(settings: ModemDialSettings, clock: Clock, access = systemAccess): Dialer {
  const { device, dial: number } = settings;
  const name = `modem ${device} to ${number}`;
  return {
    name,
    type: 'modem',
    async dial(signal) {
      const release = await access.share(device).takeWithin(clock, IN_CALL_MS, device, signal);
      const line = await Line.open(settings, clock, access, release);
      try {
        const call = { device, init: settings.init, number, connectMs: settings.connectTimeoutMs };
        const end = await converse((now) => calling(now, call), { ...line.talk, signal });
        return line.transport(name, end);
      } catch (error) {
        await line.close();
        throw error;
      }
    },
  };
}

/** The same as the answering side. It steps back while a dialer of this process uses the modem. */
export function modemListener(settings: ModemListenSettings, clock: Clock, access = systemAccess): Listener {
  const { device } = settings;
  const name = `modem ${device}`;
  const share = access.share(device);

  /** Waits for one call and carries it to its end, unless it is told to step back before. */
  async function takeCall(
    onCall: (transport: Transport) => Promise<void>,
    onReady: () => void,
    signal: AbortSignal,
  ): Promise<void> {
    const release = await share.take(signal);
    const line = await Line.open(settings, clock, access, release);
    try {
      const options = { ...line.talk, signal, yields: share };
      const ready = await converse((now) => makeReady(now, settings), options);
      if (ready.kind === 'yielded') return;
      onReady();
      line.port.unread(ready.remainder.bytes);
      const end = await converse((now) => answering(now, settings), options);
      if (end.kind === 'yielded') return;
      await onCall(line.transport(name, end));
    } finally {
      await line.close();
    }
  }

  return {
    name,
    type: 'modem',
    async listen(onCall, report, signal) {
      while (!signal.aborted) {
        try {
          await takeCall(onCall, () => report(null), signal);
        } catch (error) {
          if (error === signal.reason) break;
          if (!(error instanceof TransportError)) throw error;
          report(error);
        }
        await sleep(clock, REOPEN_MS, signal).catch(() => undefined);
      }
    },
  };
}

/** One use of the device: opened, used for at most one call, hung up, closed, and given back. */
class Line {
  readonly port: ModemPort;
  readonly #settings: ModemSettings;
  readonly #clock: Clock;
  readonly #release: () => void;
  /** What every conversation on it needs. */
  readonly talk: ConverseOptions;
  #call: { readonly stream: CallStream; readonly transport: StreamTransport } | null = null;
  #closing: Promise<void> | null = null;

  private constructor(
    port: ModemPort,
    settings: ModemSettings,
    clock: Clock,
    release: () => void,
    transcript: Transcript | undefined,
  ) {
    const { device } = settings;
    this.port = port;
    this.talk = {
      port,
      clock,
      ...(transcript !== undefined && { transcript: (text: string) => transcript(device, text) }),
    };
    this.#settings = settings;
    this.#clock = clock;
    this.#release = release;
  }

  /** `release` is called when the device is closed again, or could not be opened. */
  static async open(
    settings: ModemSettings,
    clock: Clock,
    access: ModemAccess,
    release: () => void,
  ): Promise<Line> {
    try {
      return new Line(await access.open(settings), settings, clock, release, access.transcript);
    } catch (error) {
      release();
      throw error;
    }
  }

  transport(name: string, end: Conversed<Connected>): Transport {
    if (end.kind === 'yielded') throw new TransportError('in-use', `${this.#settings.device}: in use`);
    const { value, remainder } = end;
    const stream = this.#stream(remainder);
    const transport = new StreamTransport(stream, {
      name,
      type: 'modem',
      bytesPerSecond: this.#rate(value.bitsPerSecond),
      clock: this.#clock,
      cut: cutSerial,
      shut: () => this.close(),
    });
    this.#call = { stream, transport };
    return transport;
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  #stream({ lineFeedDue }: Remainder): CallStream {
    return new CallStream(this.port, this.#clock, lineFeedDue);
  }

  /** What the modems agreed on, where it is less than the cable carries. */
  #rate(bitsPerSecond: number | null): number {
    return Math.min(this.#settings.baudRate, bitsPerSecond ?? Infinity) / BITS_PER_BYTE;
  }

  async #close(): Promise<void> {
    try {
      if (this.#call !== null) await this.#hangUp(this.#call.stream, this.#call.transport.queuedMs);
    } catch {
      // The device has vanished, and the call with it.
    } finally {
      await this.port.close();
      this.#release();
    }
  }

  /** The last frame is let through; then by DTR where there is one, else by text. */
  async #hangUp(stream: CallStream, queuedMs: number): Promise<void> {
    const { port } = this;
    const clock = this.#clock;
    if (!stream.carrierLost) await sleep(clock, queuedMs);
    const onHook = stream.carrierLost;
    stream.destroy();
    if (onHook) return;
    if (await port.setDtr(false)) {
      await sleep(clock, DTR_LOW_MS);
      await port.setDtr(true);
      await sleep(clock, DTR_BACK_MS);
      const end = await converse(hangUpAmongCommands, this.talk);
      // A cable without the wire, or a modem that does not heed it.
      if (end.kind === 'done' && end.value.onHook) return;
    }
    await converse((now) => hangUp(now, 0), this.talk);
  }
}
