import { createConnection, type Socket } from 'node:net';

const OPTION_MAGIC = 0x49484156454f5054n;
const REPLY_MAGIC = 0x3e889045565a9n;
const REQUEST_MAGIC = 0x25609513;
const ANSWER_MAGIC = 0x67446698;
const OPTION_GO = 7;
const REPLY_ACK = 1;
const REPLY_INFO = 3;
const COMMANDS = { read: 0, write: 1, disconnect: 2, flush: 3, trim: 4, writeZeroes: 6 } as const;
const FLAG_FUA = 1;

/** The server answered a request with an error number. */
export class NbdRefused extends Error {
  override readonly name = 'NbdRefused';
  constructor(readonly errno: number) {
    super(`the NBD server answered with errno ${errno}`);
  }
}

/** The connection ended before the answer came: whether the request was carried out is not known. */
export class NbdLost extends Error {
  override readonly name = 'NbdLost';
  constructor() {
    super('the NBD connection was lost');
  }
}

interface Waiting {
  readonly bytes: number;
  readonly resolve: (content: Buffer) => void;
  readonly reject: (cause: Error) => void;
}

/**
 * A second opinion on the NBD server, small enough to check by eye: fixed newstyle, GO, simple replies, any number
 * of requests in flight. Source: the NBD project's `doc/proto.md`.
 */
export class NbdClient {
  readonly #socket: Socket;
  readonly #waiting = new Map<bigint, Waiting>();
  #cookie = 0n;
  #lost = false;

  private constructor(
    socket: Socket,
    readonly sizeBytes: number,
    early: Buffer,
  ) {
    this.#socket = socket;
    this.#take(early);
  }

  /** Connects to an export by its name (empty: the only one). */
  static async connect(path: string, name = ''): Promise<NbdClient> {
    const socket = createConnection(path);
    const reader = new HandshakeReader(socket);
    try {
      const greeting = await reader.take(18);
      if (greeting.readBigUInt64BE(8) !== OPTION_MAGIC) throw new Error('not a newstyle NBD server');
      const label = Buffer.from(name);
      const hello = Buffer.alloc(4 + 16 + 4 + label.length + 2);
      hello.writeUInt32BE(3, 0);
      hello.writeBigUInt64BE(OPTION_MAGIC, 4);
      hello.writeUInt32BE(OPTION_GO, 12);
      hello.writeUInt32BE(4 + label.length + 2, 16);
      hello.writeUInt32BE(label.length, 20);
      label.copy(hello, 24);
      socket.write(hello);
      let sizeBytes = -1;
      for (;;) {
        const head = await reader.take(20);
        if (head.readBigUInt64BE(0) !== REPLY_MAGIC) throw new Error('bad option reply');
        const type = head.readUInt32BE(12);
        const body = await reader.take(head.readUInt32BE(16));
        if (type === REPLY_ACK) break;
        if (type !== REPLY_INFO) throw new Error(`GO refused (${type.toString(16)}): ${body.toString()}`);
        if (body.readUInt16BE(0) === 0) sizeBytes = Number(body.readBigUInt64BE(2));
      }
      const client = new NbdClient(socket, sizeBytes, reader.rest());
      return client;
    } catch (cause) {
      socket.destroy();
      throw cause;
    }
  }

  read(offset: number, length: number): Promise<Buffer> {
    return this.#ask(COMMANDS.read, 0, offset, length, undefined, length);
  }

  async write(offset: number, content: Uint8Array, options: { fua?: boolean } = {}): Promise<void> {
    const flags = options.fua === true ? FLAG_FUA : 0;
    await this.#ask(COMMANDS.write, flags, offset, content.length, content, 0);
  }

  async flush(): Promise<void> {
    await this.#ask(COMMANDS.flush, 0, 0, 0, undefined, 0);
  }

  async trim(offset: number, length: number): Promise<void> {
    await this.#ask(COMMANDS.trim, 0, offset, length, undefined, 0);
  }

  async writeZeroes(offset: number, length: number, options: { fua?: boolean } = {}): Promise<void> {
    const flags = options.fua === true ? FLAG_FUA : 0;
    await this.#ask(COMMANDS.writeZeroes, flags, offset, length, undefined, 0);
  }

  /** Says goodbye; requests still in flight are lost. */
  close(): void {
    if (!this.#lost) this.#socket.write(request(COMMANDS.disconnect, 0, 0n, 0, 0));
    this.#socket.destroy();
    this.#lose();
  }

  #ask(
    command: number,
    flags: number,
    offset: number,
    length: number,
    content: Uint8Array | undefined,
    answerBytes: number,
  ): Promise<Buffer> {
    if (this.#lost) return Promise.reject(new NbdLost());
    const cookie = ++this.#cookie;
    return new Promise((resolve, reject) => {
      this.#waiting.set(cookie, { bytes: answerBytes, resolve, reject });
      this.#socket.cork();
      this.#socket.write(request(command, flags, cookie, offset, length));
      if (content !== undefined) this.#socket.write(content);
      this.#socket.uncork();
    });
  }

  #take(early: Buffer): void {
    let held = early;
    const parse = (): void => {
      while (held.length >= 16) {
        if (held.readUInt32BE(0) !== ANSWER_MAGIC) {
          this.#socket.destroy(new Error('bad reply magic'));
          return;
        }
        const cookie = held.readBigUInt64BE(8);
        const errno = held.readUInt32BE(4);
        const waiting = this.#waiting.get(cookie);
        if (waiting === undefined) {
          this.#socket.destroy(new Error('an answer nobody asked for'));
          return;
        }
        const bytes = errno === 0 ? waiting.bytes : 0;
        if (held.length < 16 + bytes) return;
        this.#waiting.delete(cookie);
        const content = Buffer.from(held.subarray(16, 16 + bytes));
        held = held.subarray(16 + bytes);
        if (errno === 0) waiting.resolve(content);
        else waiting.reject(new NbdRefused(errno));
      }
    };
    this.#socket.on('data', (chunk: Buffer) => {
      held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
      parse();
    });
    this.#socket.on('error', () => undefined);
    this.#socket.once('close', () => this.#lose());
    parse();
  }

  #lose(): void {
    this.#lost = true;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of waiting) reject(new NbdLost());
  }
}

function request(command: number, flags: number, cookie: bigint, offset: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(28);
  bytes.writeUInt32BE(REQUEST_MAGIC, 0);
  bytes.writeUInt16BE(flags, 4);
  bytes.writeUInt16BE(command, 6);
  bytes.writeBigUInt64BE(cookie, 8);
  bytes.writeBigUInt64BE(BigInt(offset), 16);
  bytes.writeUInt32BE(length, 24);
  return bytes;
}

/** Reads exact counts from a socket until the transmission phase begins. */
class HandshakeReader {
  readonly #socket: Socket;
  #held: Buffer = Buffer.alloc(0);
  #wake: (() => void) | undefined;
  #failure: Error | undefined;
  readonly #onData = (chunk: Buffer): void => {
    this.#held = Buffer.concat([this.#held, chunk]);
    this.#wake?.();
  };
  readonly #onError = (cause: Error): void => this.#fail(cause);
  readonly #onClose = (): void => this.#fail(new NbdLost());

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', this.#onData).on('error', this.#onError).on('close', this.#onClose);
  }

  async take(count: number): Promise<Buffer> {
    while (this.#held.length < count) {
      if (this.#failure !== undefined) throw this.#failure;
      await new Promise<void>((wake) => (this.#wake = wake));
    }
    const taken = this.#held.subarray(0, count);
    this.#held = this.#held.subarray(count);
    return taken;
  }

  /** Lets go of the socket; what had come early. */
  rest(): Buffer {
    this.#socket.off('data', this.#onData).off('error', this.#onError).off('close', this.#onClose);
    return this.#held;
  }

  #fail(cause: Error): void {
    this.#failure ??= cause;
    this.#wake?.();
  }
}
