import type { BlockSpan } from '../../protocol/parcel/delta-layout.js';
import type { ParcelId } from '../../protocol/units.js';
import { FileError } from '../platform/files.js';

/** What the backup store can fail with. */
export type StoreErrorCode =
  | 'in-use'
  | 'other-volume'
  | 'base-mismatch'
  | 'geometry-mismatch'
  | 'bad-parcel'
  | 'reference-mismatch'
  | 'digest-mismatch'
  | 'no-capture'
  | 'incomplete-capture'
  | 'unknown-volume'
  | 'unknown-point'
  | 'bad-name'
  | 'target-exists'
  | 'damaged'
  | 'no-space'
  | 'overwriting'
  | 'closed'
  | 'io';

/** A failure of the store. `hint` tells the operator what to do next, where that is known. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  constructor(
    readonly code: StoreErrorCode,
    message: string,
    readonly hint?: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Blocks are not what was stored. They have been read all the same: what is there of them is in the reader's buffer. */
export class RottenBlocks extends StoreError {
  constructor(message: string) {
    super('damaged', message, 'run `farcopy scrub` on this volume: it tells what is damaged and what to do');
  }
}

/** A parcel that was encoded against something that is not what this side holds. */
export interface UnfitParcel {
  readonly id: ParcelId;
  /** The blocks of the base state that it refers to; which of them are wrong here is not known. */
  readonly base: readonly BlockSpan[];
}

/** Parcels are unfit: their bytes were dropped, and they are to come again, encoded without references. */
export class ReferenceMismatch extends StoreError {
  constructor(
    readonly unfit: readonly UnfitParcel[],
    message: string,
  ) {
    super('reference-mismatch', message);
  }
}

/** A failed file operation as the store tells it; anything else is handed back unchanged. */
export function fromFileError(cause: unknown): unknown {
  if (!(cause instanceof FileError)) return cause;
  if (cause.code === 'no-space') {
    return new StoreError('no-space', cause.message, 'free space on the disk of the store, then try again', {
      cause,
    });
  }
  const hint =
    cause.code === 'io'
      ? 'check the disk of the store; `farcopy scrub` tells what is damaged and what to do'
      : undefined;
  return new StoreError('io', cause.message, hint, { cause });
}
