import type { AddressInfo, Server, Socket } from 'node:net';
import type { Clock } from '../platform/clock.js';
import type { ExportBackend } from './backend.js';
import { BufferPool } from './buffer-pool.js';
import { Connection } from './connection.js';
import { DEFAULT_LIMITS, type NbdLimits } from './limits.js';
import { openListener, type NbdAddress } from './listener.js';
import { widenSendBuffer } from './send-buffer.js';

export interface NbdServerOptions {
  readonly address: NbdAddress;
  /**
   * What is served now; asked anew by each handshake. Each export answers to its name, and to the empty name when it
   * is alone. They belong to the caller, who keeps them open until `close` has resolved.
   */
  readonly exports: () => readonly ExportBackend[];
  /** Further exports, which come and go: they are listed, and answer to their full names only. */
  readonly snapshots?: () => readonly ExportBackend[];
  readonly clock: Clock;
  readonly limits?: Partial<NbdLimits>;
  /** Clients that come earlier wait for it, ungreeted. If it is to fail, close the server instead. */
  readonly ready?: Promise<void>;
}

/** Turns of the event loop in which everything the kernel holds of a client that is gone has been read. */
const TURNS_TO_SEE_AN_END = 8;

/** An NBD server on one socket, for any number of exports. */
export class NbdServer {
  /** Where it listens, with the real port. */
  readonly address: NbdAddress;
  readonly #options: NbdServerOptions;
  readonly #limits: NbdLimits;
  readonly #listener: Server;
  readonly #connections: Set<Connection>;
  readonly #pool = new BufferPool();
  #closing: Promise<void> | null = null;

  private constructor(
    options: NbdServerOptions,
    limits: NbdLimits,
    listener: Server,
    connections: Set<Connection>,
  ) {
    this.#options = options;
    this.#limits = limits;
    this.#listener = listener;
    this.#connections = connections;
    const { address } = options;
    this.address =
      address.kind === 'unix' ? address : { ...address, port: (listener.address() as AddressInfo).port };
    // A failed accept (no descriptors left) concerns that client only, who sees its connection end.
    listener.on('error', () => undefined);
    listener.on('connection', (socket: Socket) => this.#accept(socket));
  }

  /** Fails with `NbdError`. */
  static async listen(options: NbdServerOptions): Promise<NbdServer> {
    const listener = await openListener(options.address);
    return new NbdServer(options, { ...DEFAULT_LIMITS, ...options.limits }, listener, new Set());
  }

  /** How many clients use the export of this name now. */
  clientsOf(exportName: string): number {
    let count = 0;
    for (const { backend } of this.#connections) if (backend?.geometry.name === exportName) count++;
    return count;
  }

  /**
   * Takes no more clients or requests; resolves when all that was under way is finished and the socket file is gone.
   * The exports may be closed then.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const stopped = new Promise<void>((resolve) => this.#listener.close(() => resolve()));
    await Promise.all([...this.#connections].map((connection) => connection.close()));
    await stopped;
  }

  #accept(socket: Socket): void {
    if (this.#closing !== null || this.#connections.size >= this.#limits.clients) {
      socket.destroy();
      return;
    }
    if (this.address.kind === 'unix') widenSendBuffer(socket);
    const others = [...this.#connections];
    const { exports, snapshots = (): readonly ExportBackend[] => [], clock } = this.#options;
    const connection = new Connection({
      socket,
      exports,
      snapshots,
      clock,
      limits: this.#limits,
      pool: this.#pool,
    });
    this.#connections.add(connection);
    void connection.finished.then(() => this.#connections.delete(connection));
    void this.#beginAfter(connection, others);
  }

  /**
   * A client that was killed may have left requests here and in the kernel. They must not be carried out after a
   * new client (the same program started again, perhaps) was served: so its end is given time to be seen, and what
   * it had under way is finished first.
   */
  async #beginAfter(connection: Connection, others: readonly Connection[]): Promise<void> {
    for (let turn = 0; turn < TURNS_TO_SEE_AN_END; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(others.map((other) => other.provedAlive()));
    await this.#options.ready;
    connection.begin();
  }
}
