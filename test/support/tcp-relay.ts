import { once } from 'node:events';
import { createConnection, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { Transform } from 'node:stream';
import { ByteMeter, type Line } from './line.js';
import type { Sandbox } from './sandbox.js';

/** A TCP port of this process that leads to another one, counting what passes. */
export class TcpRelay implements Line {
  readonly #meter = new ByteMeter();
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #port = 0;
  #waiting: (() => void)[] | null = null;

  private constructor(
    /** Where the connections go on to. */
    readonly target: number,
    readonly bytesPerSecond: number,
  ) {}

  /** `bytesPerSecond` of each direction of a connection; what the kernel holds before it is not counted. */
  static async open(sandbox: Sandbox, bytesPerSecond = Infinity): Promise<TcpRelay> {
    const relay = new TcpRelay(await freePort(), bytesPerSecond);
    await relay.restore();
    sandbox.defer('TCP relay', () => relay.cut());
    return relay;
  }

  /** Where the primary has to call. */
  get port(): number {
    return this.#port;
  }

  get bytes(): Line['bytes'] {
    return this.#meter.bytes;
  }

  crossed(more: number): Promise<void> {
    return this.#meter.crossed(more);
  }

  /** Resets all connections and refuses new ones. */
  async cut(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const closed = once(server, 'close');
    server.close();
    for (const socket of this.#sockets) socket.resetAndDestroy();
    await closed;
  }

  /** From now on nothing passes, in no direction; what was counted before has been passed on. */
  hold(): void {
    this.#waiting ??= [];
  }

  /** What was held goes on. */
  release(): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = null;
    for (const pass of waiting) pass();
  }

  async restore(): Promise<void> {
    if (this.#server !== undefined) return;
    const server = createServer((left) => this.#join(left));
    this.#server = server;
    server.listen(this.#port, '127.0.0.1');
    await once(server, 'listening');
    this.#port = (server.address() as AddressInfo).port;
  }

  #join(left: Socket): void {
    const right = createConnection(this.target, '127.0.0.1');
    for (const socket of [left, right]) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.once('close', () => this.#sockets.delete(socket));
    }
    const counted = (there: boolean): Transform =>
      new Transform({
        transform: (chunk: Buffer, _encoding, done) => {
          const pass = (): void => {
            if (this.#waiting !== null) {
              this.#waiting.push(pass);
              return;
            }
            this.#meter.count(there ? chunk.length : 0, there ? 0 : chunk.length);
            done(null, chunk);
          };
          if (this.bytesPerSecond === Infinity) pass();
          else setTimeout(pass, (chunk.length * 1000) / this.bytesPerSecond);
        },
      });
    const end = (): void => {
      left.destroy();
      right.destroy();
    };
    pipeline(left, counted(true), right).then(end, end);
    pipeline(right, counted(false), left).then(end, end);
  }
}

export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
