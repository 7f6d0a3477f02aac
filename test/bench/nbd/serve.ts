/**
 * A process that serves an image over NBD: `serve.js volume|plain SOCKET IMAGE [STATE [PIN]]`. `volume` is a farcopy volume in
 * its thread, as an appliance has it, with an empty open epoch, begun by a state that PIN pins if it is given; `plain` is the
 * same server without an engine: what the tracking costs is the difference. SIGTERM ends it.
 */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { VolumeHost } from '../../../src/host/volume-host.js';
import type { ExportBackend } from '../../../src/nbd/backend.js';
import { NbdServer } from '../../../src/nbd/server.js';
import { systemClock } from '../../../src/platform/clock.js';
import type { File } from '../../../src/platform/files.js';
import { nodeFiles } from '../../../src/platform/node-files.js';

/** As in `VolumeExport`, so that only the engine makes a difference. */
const AT_ONCE_BYTES = 64 << 10;

function plainExport(file: File, sizeBytes: number): ExportBackend {
  return {
    geometry: { name: 'plain', description: 'no engine', sizeBytes, readOnly: false, blockSize: 4096 },
    read: (offset, into) =>
      into.byteLength > AT_ONCE_BYTES ? file.read(into, offset) : file.readSync(into, offset),
    write: (offset, from) =>
      from.byteLength > AT_ONCE_BYTES ? file.write(from, offset) : file.writeSync(from, offset),
    flush: () => file.sync(),
    trim: () => undefined,
    writeZeroes: (offset, length) => file.write(new Uint8Array(length), offset),
    cache: () => undefined,
    allocation: ({ start, end }) => [{ length: end - start, hole: false, zero: false }],
  };
}

async function servePlainly(socket: string, image: string): Promise<void> {
  const file = await nodeFiles.open(image, 'read-write');
  const backend = plainExport(file, await file.size());
  await NbdServer.listen({
    address: { kind: 'unix', path: socket },
    exports: () => [backend],
    clock: systemClock,
  });
}

async function serveVolume(socket: string, image: string, state: string, pin?: string): Promise<void> {
  const host = await VolumeHost.start({
    nbd: { kind: 'unix', path: socket },
    volumes: [
      { name: 'volume', device: image, blockSize: 4096, folder: state, beforeImageBudgetBytes: 64 * 2 ** 30 },
    ],
  });
  await host.volume('volume').seal({ grade: 'crash', pinAs: pin === undefined ? [] : [pin] });
  process.once('SIGTERM', () => void host.close());
}

const [, , kind, socket = '', image = '', state = '', pin] = process.argv;
if (!isMainThread) {
  const { path, file } = workerData as { path: string; file: string };
  await servePlainly(path, file);
  parentPort?.postMessage('ready');
} else if (kind === 'plain') {
  const worker = new Worker(new URL(import.meta.url), { workerData: { path: socket, file: image } });
  worker.once('message', () => console.log('ready'));
  process.once('SIGTERM', () => process.exit(0));
} else {
  await serveVolume(socket, image, state, pin);
  console.log('ready');
}
