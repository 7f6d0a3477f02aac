import { Errno } from './errno.js';
import type { StatusExtent } from './meta-context.js';
import type { ReplyBuffer } from './reply-buffer.js';
import {
  CHUNK_HEADER_BYTES,
  ChunkFlag,
  ChunkType,
  type Cookie,
  DATA_CHUNK_BYTES,
  HOLE_CHUNK_BYTES,
  SIMPLE_REPLY_BYTES,
  writeChunkHeader,
  writeSimpleReply,
  writeUInt64,
} from './wire.js';

/** Text of an error chunk, for people: long enough for a path and a reason. */
const MAX_ERROR_TEXT = 200;

/** Success without data; allowed in either style. */
export function replyDone(replies: ReplyBuffer, cookie: Cookie): void {
  writeSimpleReply(replies.reserve(SIMPLE_REPLY_BYTES), 0, cookie, Errno.none);
  replies.commit(SIMPLE_REPLY_BYTES);
}

/** A refusal or failure; the text reaches clients that negotiated structured replies. */
export function replyError(
  replies: ReplyBuffer,
  cookie: Cookie,
  error: Errno,
  text: string,
  structured: boolean,
): void {
  if (!structured) {
    writeSimpleReply(replies.reserve(SIMPLE_REPLY_BYTES), 0, cookie, error);
    replies.commit(SIMPLE_REPLY_BYTES);
    return;
  }
  const message = Buffer.from(text.slice(0, MAX_ERROR_TEXT));
  const length = 6 + message.length;
  const reply = replies.reserve(CHUNK_HEADER_BYTES + length);
  writeChunkHeader(reply, 0, { flags: ChunkFlag.done, type: ChunkType.error, cookie, length });
  reply.writeUInt32BE(error, CHUNK_HEADER_BYTES);
  reply.writeUInt16BE(message.length, CHUNK_HEADER_BYTES + 4);
  reply.set(message, CHUNK_HEADER_BYTES + 6);
  replies.commit(reply.length);
}

/** Bytes in front of the data of a successful read. */
export const readHeaderBytes = (structured: boolean): number =>
  structured ? DATA_CHUNK_BYTES : SIMPLE_REPLY_BYTES;

/** Writes that header into the first bytes of `reply`, whose rest is the data. */
export function writeReadHeader(reply: Buffer, cookie: Cookie, offset: number, structured: boolean): void {
  if (structured) writeDataChunk(reply, cookie, offset, reply.length - DATA_CHUNK_BYTES, ChunkFlag.done);
  else writeSimpleReply(reply, 0, cookie, Errno.none);
}

function writeDataChunk(into: Buffer, cookie: Cookie, offset: number, bytes: number, flags: number): void {
  writeChunkHeader(into, 0, { flags, type: ChunkType.offsetData, cookie, length: 8 + bytes });
  writeUInt64(into, CHUNK_HEADER_BYTES, offset);
}

/** A stretch of read data that is all zeros or not; `start` and `end` in bytes within the data. */
export interface DataStretch {
  readonly start: number;
  readonly end: number;
  readonly zero: boolean;
}

const ZERO_UNIT = 32 << 10;
const ZEROS = Buffer.alloc(ZERO_UNIT);

/** Where read data is zeros, in units of 32 KiB. Costs next to nothing on data that is not. */
export function zeroStretches(data: Buffer): DataStretch[] {
  const stretches: DataStretch[] = [];
  for (let start = 0; start < data.length; start += ZERO_UNIT) {
    const end = Math.min(start + ZERO_UNIT, data.length);
    const zero = data[start] === 0 && data.compare(ZEROS, 0, end - start, start, end) === 0;
    const last = stretches.at(-1);
    if (last?.zero === zero) stretches[stretches.length - 1] = { start: last.start, end, zero };
    else stretches.push({ start, end, zero });
  }
  return stretches;
}

/** A structured read answered as several chunks, zeros as holes. `data` belongs to the socket afterwards. */
export function replyStretches(
  replies: ReplyBuffer,
  cookie: Cookie,
  offset: number,
  data: Buffer,
  stretches: readonly DataStretch[],
): void {
  stretches.forEach(({ start, end, zero }, index) => {
    const flags = index === stretches.length - 1 ? ChunkFlag.done : 0;
    if (zero) {
      const hole = replies.reserve(HOLE_CHUNK_BYTES);
      writeChunkHeader(hole, 0, { flags, type: ChunkType.offsetHole, cookie, length: 12 });
      writeUInt64(hole, CHUNK_HEADER_BYTES, offset + start);
      hole.writeUInt32BE(end - start, CHUNK_HEADER_BYTES + 8);
      replies.commit(HOLE_CHUNK_BYTES);
    } else {
      writeDataChunk(replies.reserve(DATA_CHUNK_BYTES), cookie, offset + start, end - start, flags);
      replies.commit(DATA_CHUNK_BYTES);
      replies.append(data.subarray(start, end));
    }
  });
}

/** One BLOCK_STATUS chunk per chosen context; a context's id is its place in the list. */
export function replyBlockStatus(
  replies: ReplyBuffer,
  cookie: Cookie,
  answers: readonly (readonly StatusExtent[])[],
): void {
  answers.forEach((extents, id) => {
    const length = 4 + 8 * extents.length;
    const flags = id === answers.length - 1 ? ChunkFlag.done : 0;
    const reply = replies.reserve(CHUNK_HEADER_BYTES + length);
    writeChunkHeader(reply, 0, { flags, type: ChunkType.blockStatus, cookie, length });
    reply.writeUInt32BE(id, CHUNK_HEADER_BYTES);
    extents.forEach((extent, index) => {
      reply.writeUInt32BE(extent.length, CHUNK_HEADER_BYTES + 4 + 8 * index);
      reply.writeUInt32BE(extent.status, CHUNK_HEADER_BYTES + 8 + 8 * index);
    });
    replies.commit(reply.length);
  });
}
