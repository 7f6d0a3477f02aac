import { ProtocolError } from '../errors.js';
import { cobsDecode, cobsEncodeInto } from './cobs.js';
import { CRC_BYTES, FRAME_DELIMITER, MAX_ENCODED_FRAME, MAX_FRAME_BODY, maxCobsLength } from './limits.js';

/**
 * A frame on the line: COBS form of the body, CRC-32 of that form, delimiter. The CRC is written in five bytes of
 * seven bits each, low bits first, each with its top bit set, so that it has no zero byte.
 */

/** CRC-32 (IEEE 802.3, reflected) as an unsigned number. */
export type Crc32 = (bytes: Uint8Array) => number;

/**
 * The frame with its delimiter, a fresh array. With `apart` a delimiter also goes before it, so that what stands on the
 * line from a frame that was cut off, or from noise, does not become a part of it. Throws `RangeError` for a body over
 * `MAX_FRAME_BODY`.
 */
export function encodeFrame(body: Uint8Array, crc32: Crc32, apart = false): Uint8Array {
  if (body.length > MAX_FRAME_BODY) throw new RangeError(`frame body of ${body.length} bytes`);
  const start = apart ? 1 : 0;
  const frame = Buffer.allocUnsafe(start + maxCobsLength(body.length) + CRC_BYTES + 1);
  if (apart) frame[0] = FRAME_DELIMITER;
  let end = cobsEncodeInto(body, frame, start);
  let rest = crc32(frame.subarray(start, end));
  for (let i = 0; i < CRC_BYTES; i++) {
    frame[end++] = (rest & 0x7f) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  frame[end++] = FRAME_DELIMITER;
  return frame.subarray(0, end);
}

/**
 * The body of a frame given without its delimiter: a view of `into`, of at least `MAX_ENCODED_FRAME` bytes, or a fresh
 * array. Throws `ProtocolError` `bad-frame`.
 */
export function decodeFrame(frame: Uint8Array, crc32: Crc32, into?: Uint8Array): Uint8Array {
  if (frame.length > MAX_ENCODED_FRAME) throw bad(`${frame.length} bytes`);
  const end = frame.length - CRC_BYTES;
  if (end < 1) throw bad('too short');
  const encoded = frame.subarray(0, end);
  if (readCrc(frame, end) !== crc32(encoded)) throw bad('checksum');
  const body = cobsDecode(encoded, into);
  if (body === undefined || body.length > MAX_FRAME_BODY) throw bad('form');
  return body;
}

/** NaN when a group has no top bit or the number is over 32 bits: equal to no checksum. */
function readCrc(frame: Uint8Array, at: number): number {
  let value = 0;
  for (let i = CRC_BYTES - 1; i >= 0; i--) {
    const group = frame[at + i] as number;
    if (group < 0x80) return NaN;
    value = value * 0x80 + (group & 0x7f);
  }
  return value;
}

const bad = (what: string): ProtocolError => new ProtocolError('bad-frame', `frame: ${what}`);
