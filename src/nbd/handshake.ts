import type { ExportBackend } from './backend.js';
import type { ByteQueue } from './byte-queue.js';
import { MAX_OPTION_BYTES, MAX_OPTIONS, MAX_SKIPPED_OPTION_BYTES } from './limits.js';
import { listContexts, selectContexts, type MetaContext } from './meta-context.js';
import { parseString, parseInfoRequest, parseMetaContextRequest } from './option.js';
import {
  exportInfo,
  exportNameReply,
  infoReplies,
  metaContextReply,
  serverReply,
  transmissionFlags,
} from './option-reply.js';
import {
  EMPTY,
  HandshakeFlag,
  INIT_PASSWORD,
  Option,
  OPTION_HEADER_BYTES,
  OPTION_MAGIC,
  OptionReply,
  optionReply,
} from './wire.js';

/** What the client chose: all that the transmission phase needs. A context's id is its place in `contexts`. */
export interface Session {
  readonly backend: ExportBackend;
  readonly structuredReplies: boolean;
  readonly contexts: readonly MetaContext[];
}

/**
 * What to do next. `more`: wait for input. `reply`: send and ask again. `serve`: send and begin the transmission
 * phase with what is left in the queue. `end`: send and close.
 */
export type HandshakeStep =
  | { readonly kind: 'more' }
  | { readonly kind: 'reply'; readonly bytes: Buffer }
  | { readonly kind: 'serve'; readonly bytes: Buffer; readonly session: Session }
  | { readonly kind: 'end'; readonly bytes: Buffer };

const MORE: HandshakeStep = { kind: 'more' };
const END: HandshakeStep = { kind: 'end', bytes: EMPTY };

interface OptionHeader {
  readonly option: number;
  readonly length: number;
}

/** The server's side of the option haggling of one connection. Pure: bytes in, steps out. */
export class Handshake {
  readonly #exports: () => readonly ExportBackend[];
  readonly #snapshots: () => readonly ExportBackend[];
  #noZeroes: boolean | null = null;
  #structuredReplies = false;
  #contexts: readonly MetaContext[] = [];
  /** The export the contexts were chosen for; they count for no other. */
  #contextsOf: ExportBackend | null = null;
  #pending: OptionHeader | null = null;
  #skipping = 0;
  #options = 0;

  /** Both are asked again for each option, so that exports can come and go. `snapshots` answer to their names only. */
  constructor(exports: () => readonly ExportBackend[], snapshots: () => readonly ExportBackend[] = () => []) {
    this.#exports = exports;
    this.#snapshots = snapshots;
  }

  /** The server speaks first. */
  greeting(): Buffer {
    const greeting = Buffer.allocUnsafe(18);
    greeting.writeBigUInt64BE(INIT_PASSWORD, 0);
    greeting.writeBigUInt64BE(OPTION_MAGIC, 8);
    greeting.writeUInt16BE(HandshakeFlag.fixedNewstyle | HandshakeFlag.noZeroes, 16);
    return greeting;
  }

  next(input: ByteQueue): HandshakeStep {
    if (this.#noZeroes === null) {
      const flags = input.take(4)?.readUInt32BE(0);
      if (flags === undefined) return MORE;
      // Unknown bits mean a client that will speak differently from here on.
      if ((flags & ~(HandshakeFlag.fixedNewstyle | HandshakeFlag.noZeroes)) !== 0) return END;
      this.#noZeroes = (flags & HandshakeFlag.noZeroes) !== 0;
    }
    this.#skipping -= input.skip(this.#skipping);
    if (this.#skipping > 0) return MORE;
    if (this.#pending === null) {
      const header = input.take(OPTION_HEADER_BYTES);
      if (header === undefined) return MORE;
      if (header.readBigUInt64BE(0) !== OPTION_MAGIC || ++this.#options > MAX_OPTIONS) return END;
      this.#pending = { option: header.readUInt32BE(8), length: header.readUInt32BE(12) };
    }
    const { option, length } = this.#pending;
    if (length > MAX_OPTION_BYTES) {
      if (length > MAX_SKIPPED_OPTION_BYTES || option === Option.exportName) return END;
      this.#pending = null;
      this.#skipping = length;
      return reply(option, OptionReply.tooBig, 'option data too long');
    }
    const data = length === 0 ? EMPTY : input.take(length);
    if (data === undefined) return MORE;
    this.#pending = null;
    return this.#answer(option, data);
  }

  #answer(option: number, data: Buffer): HandshakeStep {
    switch (option) {
      case Option.exportName:
        return this.#exportName(data);
      case Option.abort:
        return { kind: 'end', bytes: optionReply(option, OptionReply.ack) };
      case Option.list:
        if (data.length > 0) return reply(option, OptionReply.invalid, 'LIST takes no data');
        return {
          kind: 'reply',
          bytes: Buffer.concat([
            ...[...this.#exports(), ...this.#snapshots()].map((backend) => serverReply(backend.geometry)),
            optionReply(option, OptionReply.ack),
          ]),
        };
      case Option.info:
      case Option.go:
        return this.#info(option, data);
      case Option.structuredReply:
        if (data.length > 0) return reply(option, OptionReply.invalid, 'STRUCTURED_REPLY takes no data');
        this.#structuredReplies = true;
        return { kind: 'reply', bytes: optionReply(option, OptionReply.ack) };
      case Option.listMetaContext:
      case Option.setMetaContext:
        return this.#metaContext(option, data);
      default:
        return reply(option, OptionReply.unsupported, 'option not supported');
    }
  }

  #exportName(data: Buffer): HandshakeStep {
    const name = parseString(data);
    const backend = name === null ? undefined : this.#find(name);
    if (backend === undefined) return END;
    const bytes = exportNameReply(backend.geometry, this.#flags(backend), this.#noZeroes === true);
    return { kind: 'serve', bytes, session: this.#session(backend) };
  }

  #info(option: typeof Option.info | typeof Option.go, data: Buffer): HandshakeStep {
    const request = parseInfoRequest(data);
    if (request === null) return reply(option, OptionReply.invalid, 'malformed request');
    const backend = this.#find(request.name);
    if (backend === undefined) return this.#unknownExport(option, request.name);
    const bytes = Buffer.concat([
      exportInfo(option, backend.geometry, this.#flags(backend)),
      ...infoReplies(option, backend.geometry, request.infos),
      optionReply(option, OptionReply.ack),
    ]);
    if (option === Option.info) return { kind: 'reply', bytes };
    return { kind: 'serve', bytes, session: this.#session(backend) };
  }

  #metaContext(
    option: typeof Option.listMetaContext | typeof Option.setMetaContext,
    data: Buffer,
  ): HandshakeStep {
    const setting = option === Option.setMetaContext;
    if (setting) {
      // Replaces what was chosen before, also when it fails.
      this.#contexts = [];
      this.#contextsOf = null;
    }
    if (!this.#structuredReplies)
      return reply(option, OptionReply.invalid, 'ask for structured replies first');
    const request = parseMetaContextRequest(data);
    if (request === null) return reply(option, OptionReply.invalid, 'malformed request');
    const backend = this.#find(request.name);
    if (backend === undefined) return this.#unknownExport(option, request.name);
    const found = (setting ? selectContexts : listContexts)(backend, request.queries);
    if (setting) {
      this.#contexts = found;
      this.#contextsOf = backend;
    }
    return {
      kind: 'reply',
      bytes: Buffer.concat([
        ...found.map(({ name }, id) => metaContextReply(option, setting ? id : 0, name)),
        optionReply(option, OptionReply.ack),
      ]),
    };
  }

  #find(name: string): ExportBackend | undefined {
    const exports = this.#exports();
    if (name === '' && exports.length === 1) return exports[0];
    return [...exports, ...this.#snapshots()].find((backend) => backend.geometry.name === name);
  }

  #unknownExport(option: number, name: string): HandshakeStep {
    const text =
      name === ''
        ? 'several exports here: name one'
        : `no export named ${JSON.stringify(name.slice(0, 200))}`;
    return reply(option, OptionReply.unknownExport, text);
  }

  #flags(backend: ExportBackend): number {
    return transmissionFlags(backend.geometry.readOnly, this.#structuredReplies);
  }

  #session(backend: ExportBackend): Session {
    const contexts = this.#contextsOf === backend ? this.#contexts : [];
    return { backend, structuredReplies: this.#structuredReplies, contexts };
  }
}

const reply = (option: number, type: number, text: string): HandshakeStep => ({
  kind: 'reply',
  bytes: optionReply(option, type, Buffer.from(text)),
});
