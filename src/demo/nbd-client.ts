import { connect, type Socket } from 'node:net';

/** NBD, fixed newstyle; numbers as in the specification, `doc/proto.md`. */
const CLIENT_FLAGS = 3; // fixed newstyle, no zeroes
const IHAVEOPT = 0x49484156454f5054n;
const OPT_EXPORT_NAME = 1;
const REQUEST_MAGIC = 0x25609513;
const SIMPLE_REPLY_MAGIC = 0x67446698;
const COMMANDS = { write: 1, disconnect: 2, flush: 3 } as const;
const GREETING_BYTES = 18;
const EXPORT_BYTES = 10;
const REPLY_BYTES = 16;

/** A client for the demo's own writes: one request at a time, each acknowledged before the next. */
export class NbdClient {
  readonly #socket: Socket;
  #received: Buffer = Buffer.alloc(0);
  #wake: () => void = () => undefined;
  #failure: Error | null = null;
  #cookie = 0n;

  static async connect(path: string, exportName: string): Promise<NbdClient> {
    const client = new NbdClient(connect(path));
    await client.#take(GREETING_BYTES);
    const name = Buffer.from(exportName);
    const answer = Buffer.alloc(20 + name.length);
    answer.writeUInt32BE(CLIENT_FLAGS, 0);
    answer.writeBigUInt64BE(IHAVEOPT, 4);
    answer.writeUInt32BE(OPT_EXPORT_NAME, 12);
    answer.writeUInt32BE(name.length, 16);
    name.copy(answer, 20);
    client.#socket.write(answer);
    await client.#take(EXPORT_BYTES);
    return client;
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#wake();
    });
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the NBD server closed the connection')));
  }

  /** Resolves when the server has acknowledged the write. */
  async write(offset: number, data: Uint8Array): Promise<void> {
    await this.#request(COMMANDS.write, offset, data.byteLength, data);
  }

  /** Resolves when everything written is on stable storage. */
  async flush(): Promise<void> {
    await this.#request(COMMANDS.flush, 0, 0, null);
  }

  close(): void {
    this.#send(COMMANDS.disconnect, 0, 0, null);
    this.#socket.end();
  }

  async #request(command: number, offset: number, length: number, data: Uint8Array | null): Promise<void> {
    const cookie = this.#send(command, offset, length, data);
    const reply = await this.#take(REPLY_BYTES);
    const errno = reply.readUInt32BE(4);
    if (reply.readUInt32BE(0) !== SIMPLE_REPLY_MAGIC || reply.readBigUInt64BE(8) !== cookie) {
      throw new Error('the NBD server answered another request');
    }
    if (errno !== 0) throw new Error(`the NBD server answered with error ${errno}`);
  }

  #send(command: number, offset: number, length: number, data: Uint8Array | null): bigint {
    const cookie = ++this.#cookie;
    const head = Buffer.alloc(28);
    head.writeUInt32BE(REQUEST_MAGIC, 0);
    head.writeUInt16BE(command, 6);
    head.writeBigUInt64BE(cookie, 8);
    head.writeBigUInt64BE(BigInt(offset), 16);
    head.writeUInt32BE(length, 24);
    this.#socket.write(data === null ? head : Buffer.concat([head, data]));
    return cookie;
  }

  async #take(count: number): Promise<Buffer> {
    while (this.#received.length < count) {
      if (this.#failure !== null) throw this.#failure;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const taken = this.#received.subarray(0, count);
    this.#received = this.#received.subarray(count);
    return taken;
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#wake();
  }
}
