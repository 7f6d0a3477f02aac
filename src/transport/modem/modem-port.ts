import { closeSerialPort, openSerialPort, type SerialSettings } from '../serial.js';

/** An open device with a modem on it. What arrives while nobody reads is kept. */
export interface ModemPort {
  /** Resolves when the system has taken the bytes; rejects when the port is gone. */
  write(bytes: Uint8Array): Promise<void>;
  /** From now on `take` gets what arrives, first what was kept; null: keep it. */
  read(take: ((bytes: Uint8Array) => void) | null): void;
  /** Puts bytes back in front of what arrives next. Only while nobody reads. */
  unread(bytes: Uint8Array): void;
  /** Called once, when the device vanishes; at once if it has. */
  onGone(tell: (error: Error) => void): void;
  /** Is there a carrier; null: this device cannot tell. */
  carrier(): Promise<boolean | null>;
  /** Raises or drops DTR; false: this device has none. */
  setDtr(on: boolean): Promise<boolean>;
  close(): Promise<void>;
}

/** More than a modem says before a call; what comes on top is noise. */
const MAX_KEPT = 64 << 10;

/** Opens the device, without what was in its buffers. */
export async function openModemPort(
  settings: SerialSettings & { readonly flow: 'rtscts' | 'none' },
): Promise<ModemPort> {
  const port = await openSerialPort(settings, { rtscts: settings.flow === 'rtscts' });
  await new Promise<void>((resolve) => port.flush(() => resolve()));
  let take: ((bytes: Uint8Array) => void) | null = null;
  const kept: Uint8Array[] = [];
  let gone: Error | null = null;
  let tellGone: (error: Error) => void = () => undefined;
  const leave = (error: Error): void => {
    if (gone !== null) return;
    gone = error;
    tellGone(error);
  };
  port.on('data', (bytes: Uint8Array) => {
    if (take !== null) take(bytes);
    else if (kept.reduce((sum, each) => sum + each.length, 0) < MAX_KEPT) kept.push(bytes);
  });
  port.on('error', leave);
  port.on('end', () => leave(new Error('the device hung up')));
  port.on('close', (error: Error | null) => leave(error ?? new Error('the port was closed')));
  return {
    write: (bytes) =>
      new Promise((resolve, reject) => {
        port.write(Buffer.from(bytes), (error) => {
          if (error == null) resolve();
          else reject(error);
        });
      }),
    read(next) {
      take = next;
      // The reader may stop, and put bytes back, in the midst of what was kept.
      for (let bytes; next !== null && take === next && (bytes = kept.shift()) !== undefined;) next(bytes);
    },
    unread(bytes) {
      if (bytes.length > 0) kept.unshift(bytes);
    },
    onGone(tell) {
      tellGone = tell;
      if (gone !== null) tell(gone);
    },
    // Both fail with ENOTTY on a pty, and some adapters have no such wires.
    carrier: () =>
      new Promise((resolve) => {
        port.get((error, status) => resolve(error === null ? (status?.dcd ?? null) : null));
      }),
    setDtr: (on) =>
      new Promise((resolve) => {
        port.set({ dtr: on, rts: true }, (error) => resolve(error === null));
      }),
    close: () => closeSerialPort(port),
  };
}
