/**
 * Numbers and layouts of the NBD protocol (fixed newstyle), all big-endian. Source: doc/proto.md of
 * github.com/NetworkBlockDevice/nbd. Nothing here decides anything.
 */

export const INIT_PASSWORD = 0x4e42444d41474943n;
export const OPTION_MAGIC = 0x49484156454f5054n;
export const OPTION_REPLY_MAGIC = 0x0003e889045565a9n;
export const REQUEST_MAGIC = 0x25609513;
export const SIMPLE_REPLY_MAGIC = 0x67446698;
export const CHUNK_MAGIC = 0x668e33ef;

/** Sent by the server, and answered by the client with the same bits. */
export const HandshakeFlag = { fixedNewstyle: 1, noZeroes: 2 } as const;

export const Option = {
  exportName: 1,
  abort: 2,
  list: 3,
  info: 6,
  go: 7,
  structuredReply: 8,
  listMetaContext: 9,
  setMetaContext: 10,
} as const;

const ERROR_REPLY = 0x8000_0000;
export const OptionReply = {
  ack: 1,
  server: 2,
  info: 3,
  metaContext: 4,
  unsupported: ERROR_REPLY + 1,
  invalid: ERROR_REPLY + 3,
  unknownExport: ERROR_REPLY + 6,
  tooBig: ERROR_REPLY + 9,
} as const;

export const Info = { export: 0, name: 1, description: 2, blockSize: 3 } as const;

export const TransmissionFlag = {
  hasFlags: 1 << 0,
  readOnly: 1 << 1,
  sendFlush: 1 << 2,
  sendFua: 1 << 3,
  sendTrim: 1 << 5,
  sendWriteZeroes: 1 << 6,
  sendDf: 1 << 7,
  canMultiConn: 1 << 8,
  sendCache: 1 << 10,
} as const;

export const Command = {
  read: 0,
  write: 1,
  disconnect: 2,
  flush: 3,
  trim: 4,
  cache: 5,
  writeZeroes: 6,
  blockStatus: 7,
} as const;

export const CommandFlag = { fua: 1, noHole: 2, df: 4, reqOne: 8 } as const;

export const ChunkFlag = { done: 1 } as const;
export const ChunkType = { none: 0, offsetData: 1, offsetHole: 2, blockStatus: 5, error: 0x8001 } as const;

/** Bits of a `base:allocation` extent. */
export const Allocation = { hole: 1, zero: 2 } as const;

/** Bits of a `qemu:dirty-bitmap:…` extent (qemu, docs/interop/nbd.txt). */
export const DirtyBitmap = { dirty: 1 } as const;

export const OPTION_HEADER_BYTES = 16;
export const REQUEST_BYTES = 28;
export const SIMPLE_REPLY_BYTES = 16;
export const CHUNK_HEADER_BYTES = 20;
/** Chunk header and offset, in front of the data of a structured read. */
export const DATA_CHUNK_BYTES = CHUNK_HEADER_BYTES + 8;
export const HOLE_CHUNK_BYTES = CHUNK_HEADER_BYTES + 12;

/** The client's name for a request (64 bits), as it goes back in the reply. */
export interface Cookie {
  readonly cookieHigh: number;
  readonly cookieLow: number;
}

/** A request as it stands on the wire. `offset` above 2^53 is not exact, which is far past any export. */
export interface RequestHeader extends Cookie {
  readonly flags: number;
  readonly command: number;
  readonly offset: number;
  readonly length: number;
}

/** The 28 bytes at `at`; null when the magic number is wrong. */
export function readRequest(from: Buffer, at: number): RequestHeader | null {
  if (from.readUInt32BE(at) !== REQUEST_MAGIC) return null;
  return {
    flags: from.readUInt16BE(at + 4),
    command: from.readUInt16BE(at + 6),
    cookieHigh: from.readUInt32BE(at + 8),
    cookieLow: from.readUInt32BE(at + 12),
    offset: from.readUInt32BE(at + 16) * 2 ** 32 + from.readUInt32BE(at + 20),
    length: from.readUInt32BE(at + 24),
  };
}

export function writeSimpleReply(into: Buffer, at: number, cookie: Cookie, error: number): void {
  into.writeUInt32BE(SIMPLE_REPLY_MAGIC, at);
  into.writeUInt32BE(error, at + 4);
  into.writeUInt32BE(cookie.cookieHigh, at + 8);
  into.writeUInt32BE(cookie.cookieLow, at + 12);
}

/** The header of a structured chunk; `length` bytes of payload follow it. */
export function writeChunkHeader(
  into: Buffer,
  at: number,
  chunk: { readonly flags: number; readonly type: number; readonly cookie: Cookie; readonly length: number },
): void {
  into.writeUInt32BE(CHUNK_MAGIC, at);
  into.writeUInt16BE(chunk.flags, at + 4);
  into.writeUInt16BE(chunk.type, at + 6);
  into.writeUInt32BE(chunk.cookie.cookieHigh, at + 8);
  into.writeUInt32BE(chunk.cookie.cookieLow, at + 12);
  into.writeUInt32BE(chunk.length, at + 16);
}

/** A 64-bit field from a safe integer, without a bigint: this is the path of every read. */
export function writeUInt64(into: Buffer, at: number, value: number): void {
  into.writeUInt32BE(Math.floor(value / 2 ** 32), at);
  into.writeUInt32BE(value % 2 ** 32, at + 4);
}

/** One reply to an option. */
export function optionReply(option: number, type: number, payload: Uint8Array = EMPTY): Buffer {
  const reply = Buffer.allocUnsafe(20 + payload.length);
  reply.writeBigUInt64BE(OPTION_REPLY_MAGIC, 0);
  reply.writeUInt32BE(option, 8);
  reply.writeUInt32BE(type, 12);
  reply.writeUInt32BE(payload.length, 16);
  reply.set(payload, 20);
  return reply;
}

export const EMPTY = Buffer.alloc(0);
