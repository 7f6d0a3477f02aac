import type { EmulatedModem } from './modem-emulator.js';
import { PtyEnd } from './pty-pair.js';
import type { Sandbox } from './sandbox.js';

/** Puts an emulated modem on a pty; the device's path. Its computer is held up, as by CTS, while the modem is full. */
export async function plugIn(sandbox: Sandbox, modem: EmulatedModem, name: string): Promise<string> {
  const device = sandbox.path(name);
  const end = await PtyEnd.open(device);
  sandbox.defer(
    `modem ${name}`,
    () => end.close(),
    () => end.kill(),
  );
  const { stdout } = end.child;
  modem.attach(
    (bytes) => end.write(Buffer.from(bytes)),
    () => {
      if (!modem.full) stdout.resume();
    },
  );
  end.onBytes((bytes) => {
    modem.write(bytes);
    if (modem.full) stdout.pause();
  });
  return device;
}
