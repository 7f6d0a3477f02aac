import { crc32 } from 'node:zlib';
import { StoreError } from './errors.js';

/**
 * A small self-checking file that people can read: JSON, a line feed, and a last line `crc32 xxxxxxxx` over all
 * before it. Written by `Files.replace` only, so it is whole or the one before.
 */
const TRAILER_BYTES = 'crc32 00000000\n'.length;

/** The bytes of a record that holds `value`. */
export function sealRecord(value: unknown): Uint8Array {
  const body = Buffer.from(`${JSON.stringify(value, null, 1)}\n`);
  return Buffer.concat([body, trailer(body)]);
}

/** The value of a record; `damaged`, naming `path`, when its bytes are not what was written. */
export function openRecord(bytes: Uint8Array, path: string): unknown {
  const cut = bytes.byteLength - TRAILER_BYTES;
  const body = bytes.subarray(0, Math.max(cut, 0));
  if (cut < 0 || !trailer(body).equals(bytes.subarray(cut))) throw damagedFile(path, 'its checksum is wrong');
  return JSON.parse(Buffer.from(body).toString()) as unknown;
}

/** The error for a file of the store whose content cannot be trusted. */
export const damagedFile = (path: string, what: string, cause?: unknown): StoreError =>
  new StoreError(
    'damaged',
    `${path}: damaged, ${what}`,
    'check the disk of the store; put this volume aside and copy it again',
    cause === undefined ? undefined : { cause },
  );

const trailer = (body: Uint8Array): Buffer =>
  Buffer.from(`crc32 ${crc32(body).toString(16).padStart(8, '0')}\n`);
