import { parentPort, workerData, type MessagePort } from 'node:worker_threads';
import { packError } from './carried-error.js';
import type { HostOrder, HostReport, HostThreadData } from './host-messages.js';
import { HostedVolumes } from './hosted-volumes.js';
import { serveVolumes } from './remote-volume.js';

/**
 * The worker thread of one NBD socket, started by `VolumeHost`: a slow disk then stops no link and no screen. It
 * makes its own files, clock and random, which cannot be sent over.
 */
async function runHost(main: MessagePort, { nbd, volumes, calls }: HostThreadData): Promise<void> {
  const report = (message: HostReport): void => {
    main.postMessage(message);
  };
  const opening = new AbortController();
  const closeOrdered = new Promise<void>((resolve) => {
    // The only order there is.
    main.once('message', (order: HostOrder) => {
      order.kind satisfies 'close';
      opening.abort();
      resolve();
    });
  });
  try {
    const hosted = await HostedVolumes.open(nbd, volumes, opening.signal);
    serveVolumes(calls, (name) => hosted.find(name));
    report({ kind: 'started', address: hosted.address });
    await closeOrdered;
    const failure = await hosted.close().then(
      () => null,
      (error: unknown) => packError(error),
    );
    report({ kind: 'closed', error: failure });
  } catch (error) {
    report({ kind: 'not-started', error: packError(error) });
  } finally {
    calls.close();
    main.close();
  }
}

if (parentPort === null) throw new Error('host-thread.js runs only as a worker of VolumeHost');
await runHost(parentPort, workerData as HostThreadData);
