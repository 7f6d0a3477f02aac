import { crc32 } from 'node:zlib';
import { isBlockSize, MAX_BLOCK_SIZE, MAX_BLOCKS, MIN_BLOCK_SIZE } from '../../protocol/units.js';
import { FileError, type File, type Files } from '../platform/files.js';
import { VolumeError } from './errors.js';
import type { IdentityRecord } from './volume-record.js';

/**
 * What the fingerprint of a device covers, by position: partition tables, the superblocks of a filesystem that begins
 * with the device or with its first partition (at 1 MiB; btrfs has its own 64 KiB further on), and their copies that
 * have a fixed place. A mount writes there. The last 64 KiB come on top: a second partition table, MD and LVM labels.
 */
const FINGERPRINTED: readonly { readonly position: number; readonly bytes: number }[] = [
  { position: 0, bytes: 68 << 10 },
  { position: 1 << 20, bytes: 68 << 10 },
  { position: 64 << 20, bytes: 4 << 10 },
  { position: 128 << 20, bytes: 4 << 10 },
];
const FINGERPRINTED_END_BYTES = 64 << 10;

export interface OpenDevice {
  readonly file: File;
  readonly sizeBytes: number;
  readonly modifiedMs: number | null;
  /** As `FileAttributes` has them, when it was opened. */
  readonly identity: string | null;
  readonly writtenBytes: number | null;
}

/** Opens a device for a volume, or says in one line why it cannot be one. Nothing is touched. */
export async function openDevice(files: Files, path: string, blockSize: number): Promise<OpenDevice> {
  if (!isBlockSize(blockSize)) {
    throw new VolumeError(
      'bad-geometry',
      `block size ${blockSize} is not a power of two from ${MIN_BLOCK_SIZE} to ${MAX_BLOCK_SIZE}`,
      'set blockSize to 4096 unless there is a reason for another',
    );
  }
  const file = await files.open(path, 'exclusive').catch((cause: unknown) => {
    throw refusal(path, cause);
  });
  try {
    const sizeBytes = await file.size();
    checkSize(path, sizeBytes, blockSize);
    const attributes = await file.attributes?.();
    if (attributes?.isWriteProtected === true) throw readOnly(path);
    return {
      file,
      sizeBytes,
      modifiedMs: attributes?.modifiedMs ?? null,
      identity: attributes?.identity ?? null,
      writtenBytes: attributes?.writtenBytes ?? null,
    };
  } catch (cause) {
    await file.close();
    throw cause instanceof VolumeError ? cause : refusal(path, cause);
  }
}

/** Does a device with these measures belong to the state folder. Throws `wrong-device`, `bad-geometry`. */
export function checkIdentity(
  identity: IdentityRecord,
  found: {
    readonly name: string;
    readonly blockSize: number;
    readonly sizeBytes: number;
    readonly path: string;
  },
  folder: string,
): void {
  if (identity.name !== found.name) {
    throw new VolumeError(
      'wrong-device',
      `${folder} holds the state of volume ${identity.name}, not of ${found.name}`,
      'give each volume its own state folder, or name the volume as it was',
    );
  }
  if (identity.blockSize !== found.blockSize) {
    throw new VolumeError(
      'bad-geometry',
      `volume ${found.name} was set up with blockSize ${identity.blockSize}, now ${found.blockSize} is asked for`,
      `set blockSize back to ${identity.blockSize}, or remove ${folder} to begin anew with a full copy`,
    );
  }
  if (found.sizeBytes < identity.sizeBytes) {
    throw new VolumeError(
      'wrong-device',
      `${found.path} has ${found.sizeBytes} bytes, volume ${found.name} has ${identity.sizeBytes}`,
      `check that it is the right device; if it was shrunk on purpose, remove ${folder} to begin anew with a full copy`,
    );
  }
}

/** A short digest of both ends of a device: tells, most of the time, that it was written by others. */
export async function fingerprint(device: File, sizeBytes: number): Promise<string> {
  const ends = { position: Math.max(0, sizeBytes - FINGERPRINTED_END_BYTES), bytes: FINGERPRINTED_END_BYTES };
  let check = 0;
  for (const { position, bytes } of [...FINGERPRINTED, ends]) {
    const content = Buffer.alloc(Math.max(0, Math.min(bytes, sizeBytes - position)));
    await device.read(content, position);
    check = crc32(content, check);
  }
  return check.toString(16).padStart(8, '0');
}

function checkSize(path: string, sizeBytes: number, blockSize: number): void {
  if (sizeBytes === 0) {
    throw new VolumeError(
      'bad-geometry',
      `${path} is empty`,
      `give it a size first, such as: truncate -s 1G ${path}`,
    );
  }
  if (sizeBytes % blockSize !== 0) {
    const whole = Math.ceil(sizeBytes / blockSize) * blockSize;
    throw new VolumeError(
      'bad-geometry',
      `${path} has ${sizeBytes} bytes, which is not a multiple of blockSize ${blockSize}`,
      sizeBytes % MIN_BLOCK_SIZE === 0
        ? `set a blockSize that divides it, such as ${largestDivisor(sizeBytes)}, or enlarge a file: truncate -s ${whole} ${path}`
        : `enlarge it: truncate -s ${whole} ${path}`,
    );
  }
  if (sizeBytes / blockSize > MAX_BLOCKS) {
    throw new VolumeError(
      'bad-geometry',
      `${path} has more than ${MAX_BLOCKS} blocks of ${blockSize} bytes`,
      'set a larger blockSize',
    );
  }
}

function largestDivisor(sizeBytes: number): number {
  let size = MIN_BLOCK_SIZE;
  while (size < MAX_BLOCK_SIZE && sizeBytes % (size * 2) === 0) size *= 2;
  return size;
}

const readOnly = (path: string, cause?: unknown): VolumeError =>
  new VolumeError(
    'read-only-device',
    `${path} cannot be written`,
    'check its permissions and owner, and that neither it nor its file system is read-only',
    { cause },
  );

function refusal(path: string, cause: unknown): VolumeError {
  const code = cause instanceof FileError ? cause.code : 'other';
  switch (code) {
    case 'not-found':
      return new VolumeError(
        'missing-device',
        `${path} does not exist`,
        'check device in the configuration',
        { cause },
      );
    case 'no-permission':
    case 'read-only':
      return readOnly(path, cause);
    case 'busy':
      return new VolumeError(
        'in-use',
        `${path} is mounted or in use by another program`,
        'unmount it: all writes must go through farcopy',
        { cause },
      );
    case 'exists':
    case 'no-space':
    case 'io':
    case 'short-read':
      return new VolumeError('io', `${path}: ${(cause as Error).message}`, 'check the health of the disk', {
        cause,
      });
    case 'unsupported':
    case 'other':
      return new VolumeError(
        'missing-device',
        `${path} is neither a file nor a block device`,
        'name a raw block device or an image file',
        { cause },
      );
  }
}
