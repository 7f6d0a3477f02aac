/** What the backup store can fail with. */
export type StoreErrorCode =
  | 'in-use'
  | 'other-volume'
  | 'base-mismatch'
  | 'geometry-mismatch'
  | 'bad-parcel'
  | 'digest-mismatch'
  | 'no-capture'
  | 'incomplete-capture'
  | 'unknown-volume'
  | 'unknown-point'
  | 'damaged'
  | 'no-space'
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
