/** What a volume can fail with. */
export type VolumeErrorCode =
  | 'missing-device'
  | 'read-only-device'
  | 'bad-geometry'
  | 'wrong-device'
  | 'in-use'
  | 'bad-state'
  | 'unknown-state'
  | 'io'
  | 'closed';

/** A failure of the engine. `hint` tells the operator what to do next, where that is known. */
export class VolumeError extends Error {
  override readonly name = 'VolumeError';
  constructor(
    readonly code: VolumeErrorCode,
    message: string,
    readonly hint?: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
