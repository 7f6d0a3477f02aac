import { crc32 } from 'node:zlib';
import { FileError, type Files } from '../platform/files.js';
import { ReferenceIndex, type IndexShape } from './reference-index.js';

/**
 * An index on disk: `farcopy reference index 1` and a line feed, the CRC-32 of the rest (u32 LE), then the words of the
 * index in the machine's own order, which the header's block size tells apart. Written whole by `Files.replace`.
 */
const MAGIC = Buffer.from('farcopy reference index 1\n');
const BODY = MAGIC.byteLength + 4;

export async function saveIndex(files: Files, path: string, index: ReferenceIndex): Promise<void> {
  const bytes = Buffer.allocUnsafe(BODY + index.shared.byteLength);
  MAGIC.copy(bytes);
  // A copy first: other threads may go on writing, and the checksum is to fit what is written.
  bytes.set(new Uint8Array(index.shared), BODY);
  bytes.writeUInt32LE(crc32(bytes.subarray(BODY)), MAGIC.byteLength);
  await files.replace(path, bytes);
}

/** The index of a file, to be built further from its cursor; null if there is none that is whole and of this shape. */
export async function loadIndex(
  files: Files,
  path: string,
  shape: IndexShape,
): Promise<ReferenceIndex | null> {
  let bytes: Uint8Array;
  try {
    bytes = await files.readWhole(path, BODY + Math.max(shape.memoryBytes, 1 << 16));
  } catch (cause) {
    if (cause instanceof FileError) return null;
    throw cause;
  }
  const body = bytes.subarray(BODY);
  if (bytes.byteLength < BODY || Buffer.compare(MAGIC, bytes.subarray(0, MAGIC.byteLength)) !== 0)
    return null;
  if (Buffer.from(bytes.buffer, bytes.byteOffset).readUInt32LE(MAGIC.byteLength) !== crc32(body)) return null;
  const shared = new SharedArrayBuffer(body.byteLength);
  new Uint8Array(shared).set(body);
  return ReferenceIndex.over(shared, shape);
}
