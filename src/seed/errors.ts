import { FileError } from '../platform/files.js';

/** Why a first copy cannot travel on this disk, or not from there or to here. */
export type SeedErrorCode =
  | 'not-a-seed'
  | 'damaged'
  | 'target-exists'
  | 'bad-place'
  | 'no-space'
  | 'spoiled'
  | 'stranger'
  | 'copy-exists'
  | 'io';

/** `hint` tells the operator what to do next. */
export class SeedError extends Error {
  override readonly name = 'SeedError';
  constructor(
    readonly code: SeedErrorCode,
    message: string,
    readonly hint?: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** A failed operation on the disk that the seed is on; anything else is handed back unchanged. */
export function fromDiskError(cause: unknown, path: string): unknown {
  if (!(cause instanceof FileError)) return cause;
  switch (cause.code) {
    case 'not-found':
      return new SeedError('io', `${path}: there is no such file or folder`, 'is the disk mounted?', {
        cause,
      });
    case 'no-space':
      return new SeedError(
        'no-space',
        `${path}: the disk is full, or its file system does not take a file so long`,
        'use a larger disk; FAT32 takes files up to 4 GiB, exFAT and ext4 longer ones',
        { cause },
      );
    case 'io':
    case 'short-read':
      return new SeedError('io', cause.message, 'the disk is damaged, or was pulled out', { cause });
    default:
      return new SeedError('io', cause.message, undefined, { cause });
  }
}
