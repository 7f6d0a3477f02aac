import { chmod } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { ApplianceError } from '../appliance/errors.js';
import type { Log } from '../platform/log.js';
import type { ApplianceControl } from './appliance-control.js';
import { ControlConnection } from './connection.js';
import { MAX_CONNECTIONS } from './messages.js';
import { clearStaleSocket } from './socket-path.js';

/** Serves an `ApplianceControl` on a Unix socket that only the appliance's own user may open. */
export class ControlServer {
  readonly #server: Server;
  readonly #control: ApplianceControl;
  readonly #log: Log;
  readonly #connections = new Set<ControlConnection>();

  private constructor(control: ApplianceControl, log: Log) {
    this.#control = control;
    this.#log = log;
    this.#server = createServer((socket) => this.#accept(socket));
    this.#server.maxConnections = MAX_CONNECTIONS;
  }

  /**
   * Binds `path`, whose folder exists, and answers from then on. A socket left by a killed process is replaced; fails
   * with `ApplianceError` `in-use` if another process serves it.
   */
  static async listen(path: string, control: ApplianceControl, log: Log): Promise<ControlServer> {
    await clearStaleSocket(path);
    const server = new ControlServer(control, log);
    await server.#bind(path);
    return server;
  }

  async #bind(path: string): Promise<void> {
    const listening = new Promise<void>((resolve, reject) => {
      this.#server.once('listening', resolve);
      this.#server.once('error', (cause) => reject(bindError(path, cause)));
    });
    // The socket is bound within listen(): it must at no instant be open to others.
    const umask = process.umask(0o177);
    try {
      this.#server.listen(path);
    } finally {
      process.umask(umask);
    }
    await listening;
    await chmod(path, 0o600);
    this.#server.on('error', (err) => this.#log.error('The control socket failed.', { err }));
  }

  #accept(socket: Socket): void {
    const connection = new ControlConnection(socket, this.#control, this.#log);
    this.#connections.add(connection);
    socket.once('close', () => this.#connections.delete(connection));
  }

  /** Stops answering, cancels what is under way, and removes the socket. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const connection of this.#connections) connection.end();
    await closed;
  }
}

function bindError(path: string, cause: NodeJS.ErrnoException): ApplianceError {
  const hint =
    cause.code === 'ENOENT' || cause.code === 'EACCES'
      ? 'its folder must exist and be writable for this user; see control in the configuration'
      : undefined;
  return new ApplianceError('failed', `cannot serve the control socket ${path}: ${cause.message}`, hint, {
    cause,
  });
}
