import { read } from 'node:fs';
import { promisify } from 'node:util';
import type { SerialPort } from 'serialport';

const readSome = promisify(read);

/** Nothing to read yet, or a signal came in between. */
const AGAIN: readonly (string | undefined)[] = ['EAGAIN', 'EWOULDBLOCK', 'EINTR'];

/**
 * Makes an open port close when its line hangs up. From then on the system answers each read with no bytes at once (a
 * pty whose other end is gone, a USB adapter that was pulled out), and the library takes that for "ask again": a read
 * that is not waiting at that very moment would go round for ever, and nobody be told. To be called before the first
 * read. https://github.com/serialport/bindings-cpp/issues/162
 */
export function closeOnHangUp(port: SerialPort): void {
  const binding = port.port;
  // The one of Windows does not poll, and reads in another way.
  if (binding === undefined || !('poller' in binding)) return;
  const readable = (): Promise<void> =>
    new Promise((resolve, reject) => {
      binding.poller.once('readable', (error) => {
        if (error === null) resolve();
        else reject(error);
      });
    });
  // `canceled` tells the library that the port was closed on purpose; any other error closes it.
  const checkOpen = (): number => {
    if (binding.fd === null) throw Object.assign(new Error('the port was closed'), { canceled: true });
    return binding.fd;
  };
  binding.read = async (buffer, offset, length) => {
    for (;;) {
      const fd = checkOpen();
      let bytesRead;
      try {
        ({ bytesRead } = await readSome(fd, buffer, offset, length, null));
      } catch (error) {
        // Closed while the read was under way: its poller is gone, and waiting on it would take the process along.
        checkOpen();
        if (!AGAIN.includes((error as NodeJS.ErrnoException).code)) throw error;
        await readable();
        continue;
      }
      if (bytesRead === 0) throw new Error('the line hung up');
      return { buffer, bytesRead };
    }
  };
}
