import * as net from 'node:net';
import { ByteQueue } from '../../../src/nbd/byte-queue.js';
import type { NbdAddress } from '../../../src/nbd/listener.js';
import {
  CHUNK_MAGIC,
  ChunkType,
  Command,
  Option,
  OPTION_MAGIC,
  OptionReply,
  REQUEST_MAGIC,
  SIMPLE_REPLY_MAGIC,
} from '../../../src/nbd/wire.js';

export function optionRequest(option: number, data: Uint8Array = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(16);
  header.writeBigUInt64BE(OPTION_MAGIC, 0);
  header.writeUInt32BE(option, 8);
  header.writeUInt32BE(data.byteLength, 12);
  return Buffer.concat([header, data]);
}

export function uint32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, index) => bytes.writeUInt32BE(value, 4 * index));
  return bytes;
}

/** Data of INFO and GO. */
export function infoData(name: string, ...infos: number[]): Buffer {
  const rest = Buffer.alloc(2 + 2 * infos.length);
  rest.writeUInt16BE(infos.length, 0);
  infos.forEach((info, index) => rest.writeUInt16BE(info, 2 + 2 * index));
  return Buffer.concat([uint32(Buffer.byteLength(name)), Buffer.from(name), rest]);
}

/** Data of the meta context options. */
export function contextData(name: string, ...queries: string[]): Buffer {
  return Buffer.concat([
    uint32(Buffer.byteLength(name)),
    Buffer.from(name),
    uint32(queries.length),
    ...queries.flatMap((query) => [uint32(Buffer.byteLength(query)), Buffer.from(query)]),
  ]);
}

export interface RawRequest {
  readonly command: number;
  readonly flags?: number;
  readonly cookie?: number;
  readonly offset?: number;
  readonly length?: number;
  readonly magic?: number;
  readonly data?: Uint8Array;
}

export function requestBytes(request: RawRequest): Buffer {
  const bytes = Buffer.alloc(28);
  bytes.writeUInt32BE(request.magic ?? REQUEST_MAGIC, 0);
  bytes.writeUInt16BE(request.flags ?? 0, 4);
  bytes.writeUInt16BE(request.command, 6);
  bytes.writeBigUInt64BE(BigInt(request.cookie ?? 1), 8);
  bytes.writeBigUInt64BE(BigInt(request.offset ?? 0), 16);
  bytes.writeUInt32BE(request.length ?? request.data?.byteLength ?? 0, 24);
  return request.data === undefined ? bytes : Buffer.concat([bytes, request.data]);
}

export interface OptionAnswer {
  readonly option: number;
  readonly type: number;
  readonly data: Buffer;
}

/** A simple reply (`type` null), or one structured chunk. */
export interface Reply {
  readonly cookie: number;
  readonly type: number | null;
  readonly done: boolean;
  readonly error: number;
  readonly data: Buffer;
}

/** A bare NBD client that can also send what no real one would. */
export class Client {
  readonly socket: net.Socket;
  readonly #input = new ByteQueue();
  #wake: () => void = () => undefined;
  #closed = false;
  structured = false;

  private constructor(address: NbdAddress) {
    this.socket = net.connect(address.kind === 'unix' ? { path: address.path } : { ...address });
    this.socket.on('data', (chunk: Buffer) => {
      this.#input.push(chunk);
      this.#wake();
    });
    this.socket.on('error', () => undefined);
    this.socket.on('close', () => {
      this.#closed = true;
      this.#wake();
    });
  }

  /** Connects and reads the greeting. */
  static async connect(address: NbdAddress, clientFlags = 3): Promise<Client> {
    const client = new Client(address);
    await client.take(18);
    client.socket.write(uint32(clientFlags));
    return client;
  }

  /** Connects without waiting for anything. */
  static raw(address: NbdAddress): Client {
    return new Client(address);
  }

  /** Connects and enters the transmission phase with GO. */
  static async open(
    address: NbdAddress,
    { name = '', structured = true, contexts = ['base:allocation'] } = {},
  ): Promise<Client> {
    const client = await Client.connect(address);
    if (structured) {
      await client.option(Option.structuredReply);
      await client.option(Option.setMetaContext, contextData(name, ...contexts));
      client.structured = true;
    }
    const answers = await client.option(Option.go, infoData(name));
    if (answers.at(-1)?.type !== OptionReply.ack) throw new Error('GO was refused');
    return client;
  }

  /** Bytes received and not taken. */
  get held(): number {
    return this.#input.length;
  }

  async take(count: number): Promise<Buffer> {
    for (;;) {
      const bytes = this.#input.take(count);
      if (bytes !== undefined) return bytes;
      if (this.#closed) throw new Error('the server closed the connection');
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** Resolves when the server has closed the connection. */
  async closed(): Promise<void> {
    while (!this.#closed) await new Promise<void>((resolve) => (this.#wake = resolve));
  }

  /** Sends an option and reads its replies up to the final one. */
  async option(option: number, data?: Uint8Array): Promise<OptionAnswer[]> {
    this.socket.write(optionRequest(option, data));
    return this.answers();
  }

  async answers(): Promise<OptionAnswer[]> {
    const answers: OptionAnswer[] = [];
    for (;;) {
      const header = await this.take(20);
      const answer = {
        option: header.readUInt32BE(8),
        type: header.readUInt32BE(12),
        data: await this.take(header.readUInt32BE(16)),
      };
      answers.push(answer);
      if (answer.type === OptionReply.ack || answer.type >= 0x8000_0000) return answers;
    }
  }

  send(...requests: RawRequest[]): void {
    this.socket.write(Buffer.concat(requests.map(requestBytes)));
  }

  /** `dataBytes`: data that follows a simple reply without an error (of a READ). */
  async reply(dataBytes = 0): Promise<Reply> {
    const magic = (await this.take(4)).readUInt32BE(0);
    if (magic === SIMPLE_REPLY_MAGIC) {
      const rest = await this.take(12);
      const error = rest.readUInt32BE(0);
      const data = error === 0 ? await this.take(dataBytes) : Buffer.alloc(0);
      return { cookie: Number(rest.readBigUInt64BE(4)), type: null, done: true, error, data };
    }
    if (magic !== CHUNK_MAGIC) throw new Error(`lost step: ${magic.toString(16)}`);
    const rest = await this.take(16);
    const type = rest.readUInt16BE(2);
    const data = await this.take(rest.readUInt32BE(12));
    return {
      cookie: Number(rest.readBigUInt64BE(4)),
      type,
      done: (rest.readUInt16BE(0) & 1) === 1,
      error: type === ChunkType.error ? data.readUInt32BE(0) : 0,
      data,
    };
  }

  /** Sends one request and reads its first reply. */
  ask(request: RawRequest): Promise<Reply> {
    this.send(request);
    const plainRead = request.command === Command.read && !this.structured;
    return this.reply(plainRead ? (request.length ?? 0) : 0);
  }
}
