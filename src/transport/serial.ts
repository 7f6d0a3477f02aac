import { Transform, type Duplex, type Readable, type TransformCallback } from 'node:stream';
import { DelimiterParser } from '@serialport/parser-delimiter';
import { SerialPort } from 'serialport';
import { escapeBytes, Unescaper } from '../../protocol/framing/escape.js';
import { FRAME_DELIMITER, MAX_ENCODED_FRAME } from '../../protocol/framing/limits.js';
import { sleep, type Clock } from '../platform/clock.js';
import { TransportError, type TransportErrorCode } from './errors.js';
import { closeOnHangUp } from './hang-up.js';
import { NoiseCap } from './noise-cap.js';
import { StreamTransport } from './stream-transport.js';
import type { Dialer, Listener, Transport } from './transport.js';

export interface SerialSettings {
  /** Path of the line, such as `/dev/ttyS0`. */
  readonly device: string;
  readonly baudRate: number;
  /** Left out: none. */
  readonly flow?: SerialFlow;
}

/**
 * How the devices on the line stop each other: not at all, by the wires RTS and CTS, or by the bytes XON and XOFF. With
 * these, what must not stand on the line as it is, is escaped: both ends have to be set so.
 */
export type SerialFlow = 'none' | 'rtscts' | 'xonxoff';

/** Start bit, eight data bits, stop bit. */
export const BITS_PER_BYTE = 10;
/** Between attempts to open a port that is absent or busy, ms. */
export const REOPEN_MS = 1000;
/** The same at first: whoever calls again after a hang-up should find the port open. */
const REOPEN_SOON = { every: 200, attempts: 60 } as const;

/** A null-modem cable or any line that needs no dialling, as the calling side. */
export function serialDialer(settings: SerialSettings, clock: Clock): Dialer {
  return {
    name: settings.device,
    type: 'serial',
    dial: async (signal) => {
      signal.throwIfAborted();
      return openSerial(settings, clock);
    },
  };
}

/** The same as the answering side: the port is kept open, and opened anew after each call. */
export function serialListener(settings: SerialSettings, clock: Clock): Listener {
  return {
    name: settings.device,
    type: 'serial',
    async listen(onCall, report, signal) {
      for (let failures = 0; !signal.aborted; failures++) {
        try {
          const transport = await openSerial(settings, clock);
          report(null);
          const openedAt = clock.now();
          await onCall(transport);
          // A port that opens and hangs up at once is as good as absent.
          if (clock.now() - openedAt >= REOPEN_MS) failures = 0;
        } catch (error) {
          if (!(error instanceof TransportError)) throw error;
          report(error);
        }
        const rest = failures < REOPEN_SOON.attempts ? REOPEN_SOON.every : REOPEN_MS;
        await sleep(clock, rest, signal).catch(() => undefined);
      }
    },
  };
}

const OPEN_ERRORS: readonly (readonly [RegExp, TransportErrorCode, string])[] = [
  [
    /no such file|ENOENT|ENXIO|ENODEV|cannot find/i,
    'no-device',
    'check the cable and the device path in the configuration',
  ],
  [/permission|EACCES/i, 'no-permission', 'add the user to the group of the device (often dialout)'],
  [
    /lock|busy|EBUSY|temporarily unavailable/i,
    'in-use',
    'another program holds the port: stop it (see `fuser`)',
  ],
];

function openError(device: string, cause: Error): TransportError {
  const known = OPEN_ERRORS.find(([pattern]) => pattern.test(cause.message));
  // The binding says "Error: No such file or directory, cannot open /dev/ttyS9": the device is named here already.
  const reason = cause.message.replace(/^Error: /, '').replace(/, cannot open .*$/, '');
  const text = `${device}: cannot be opened: ${reason}`;
  return new TransportError(known?.[1] ?? 'failed', text, known?.[2], { cause });
}

/** Opens a port; whoever opens it closes it with `closeSerialPort`. */
export async function openSerialPort(
  { device, baudRate }: SerialSettings,
  flow: { readonly rtscts?: boolean; readonly xon?: boolean; readonly xoff?: boolean } = {},
): Promise<SerialPort> {
  const port = new SerialPort({ path: device, baudRate, autoOpen: false, ...flow });
  await new Promise<void>((resolve, reject) => {
    port.open((error) => {
      if (error === null) resolve();
      else reject(openError(device, error));
    });
  });
  closeOnHangUp(port);
  return port;
}

/** Frames from a line that may carry noise. */
export const cutSerial = (stream: Duplex): Readable =>
  stream
    .pipe(new NoiseCap(MAX_ENCODED_FRAME, FRAME_DELIMITER))
    .pipe(new DelimiterParser({ delimiter: [FRAME_DELIMITER], readableObjectMode: true }));

async function openSerial(settings: SerialSettings, clock: Clock): Promise<Transport> {
  const { flow = 'none' } = settings;
  const escapes = flow === 'xonxoff';
  const port = await openSerialPort(settings, { rtscts: flow === 'rtscts', xon: escapes, xoff: escapes });
  return new StreamTransport(port, {
    name: settings.device,
    type: 'serial',
    bytesPerSecond: settings.baudRate / BITS_PER_BYTE,
    clock,
    cut: escapes ? (stream) => cutSerial(stream.pipe(new UnescapeStream())) : cutSerial,
    ...(escapes && {
      encode: escapeBytes,
      decode: (bytes: Uint8Array) => new Unescaper().push(bytes),
    }),
    shut: () => closeSerialPort(port),
  });
}

/** The pure unescaper as a stream. */
class UnescapeStream extends Transform {
  readonly #unescaper = new Unescaper();

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    const bytes = this.#unescaper.push(chunk);
    if (bytes.length > 0) this.push(bytes);
    done();
  }
}

export function closeSerialPort(port: SerialPort): Promise<void> {
  return new Promise((resolve) => {
    if (!port.isOpen) {
      resolve();
      return;
    }
    // What is still queued belongs to a call that is over; draining a dead line would hang.
    port.flush(() => {
      port.close(() => resolve());
    });
  });
}
