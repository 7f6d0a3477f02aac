import * as fs from 'node:fs';
import * as net from 'node:net';
import { dirname } from 'node:path';
import { NbdError } from './errors.js';
import { MAX_SOCKET_PATH_BYTES } from './limits.js';

/** Where an NBD server listens. TCP only on a loopback address; port 0 takes a free one. */
export type NbdAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number };

/** As people and clients write it. */
export const formatAddress = (address: NbdAddress): string =>
  address.kind === 'unix'
    ? `unix:${address.path}`
    : `tcp://${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;

/** Connections come paused and half-open, so that nothing is read before its time and no reply is cut off. */
const SERVER_OPTIONS: net.ServerOpts = { pauseOnConnect: true, allowHalfOpen: true, noDelay: true };

/**
 * Listens; the caller adds its `connection` listener at once. A socket file that a killed process left is replaced, one that answers is
 * `in-use`. The socket can be used by its owner only.
 */
export async function openListener(address: NbdAddress): Promise<net.Server> {
  if (address.kind === 'tcp') {
    if (!isLoopback(address.host)) {
      throw new NbdError(
        'bad-address',
        `${formatAddress(address)}: not a loopback address`,
        'NBD has no access control: use 127.0.0.1, ::1 or a Unix socket',
      );
    }
    return listen(address);
  }
  const bytes = Buffer.byteLength(address.path);
  if (bytes > MAX_SOCKET_PATH_BYTES) {
    throw new NbdError(
      'path-too-long',
      `${address.path}: socket path is ${bytes} bytes, at most ${MAX_SOCKET_PATH_BYTES} are possible`,
      'choose a shorter path',
    );
  }
  await removeStale(address.path);
  return listen(address);
}

const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (net.isIPv4(host) && host.startsWith('127.'));

async function listen(address: NbdAddress): Promise<net.Server> {
  const server = net.createServer(SERVER_OPTIONS);
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => reject(listenError(address, cause)));
    server.once('listening', resolve);
    if (address.kind === 'tcp') {
      server.listen({ host: address.host, port: address.port });
    } else {
      server.listen({ path: address.path });
      // bind() has happened by now; a worker thread has no umask of its own to do this before.
      if (server.listening) fs.chmodSync(address.path, 0o600);
    }
  });
  server.removeAllListeners('error');
  return server;
}

function listenError(address: NbdAddress, cause: NodeJS.ErrnoException): NbdError {
  const name = formatAddress(address);
  switch (cause.code) {
    case 'EADDRINUSE':
      return inUse(name, cause);
    case 'EACCES':
    case 'EPERM':
    case 'ENOENT':
    case 'ENOTDIR':
      // libuv says EACCES also where the folder is missing.
      return address.kind === 'unix' && !fs.existsSync(dirname(address.path))
        ? new NbdError('bad-address', `${name}: no such folder`, `make ${dirname(address.path)}`, { cause })
        : new NbdError('no-permission', `${name}: no permission to listen here`, undefined, { cause });
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new NbdError('bad-address', `${name}: not an address of this machine`, undefined, { cause });
    default:
      return new NbdError('listen-failed', `${name}: ${cause.message}`, undefined, { cause });
  }
}

const inUse = (name: string, cause?: unknown): NbdError =>
  new NbdError(
    'in-use',
    `${name}: another process is listening here`,
    'stop that process, or choose another address',
    cause === undefined ? undefined : { cause },
  );

/** Clears the way to `path`: removes a socket nobody answers on, refuses anything else. */
async function removeStale(path: string): Promise<void> {
  const found = fs.lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new NbdError(
      'bad-address',
      `unix:${path}: there is something there that is not a socket`,
      'choose another path, or move that file away',
    );
  }
  if (await answers(path)) throw inUse(`unix:${path}`);
  // Another process may have cleared and taken the path while we were asking.
  const still = fs.lstatSync(path, { throwIfNoEntry: false });
  if (still?.ino === found.ino && still.ctimeMs === found.ctimeMs) fs.unlinkSync(path);
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ path });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (cause: NodeJS.ErrnoException) => {
      if (cause.code === 'ECONNREFUSED' || cause.code === 'ENOENT') resolve(false);
      else if (cause.code === 'EAGAIN') resolve(true);
      else reject(listenError({ kind: 'unix', path }, cause));
    });
  });
}
