/** Why a server cannot listen. */
export type NbdErrorCode = 'in-use' | 'bad-address' | 'path-too-long' | 'no-permission' | 'listen-failed';

/** A failure of the NBD server as a whole; what a single request fails with is an errno (`errno.ts`). */
export class NbdError extends Error {
  override readonly name = 'NbdError';
  constructor(
    readonly code: NbdErrorCode,
    message: string,
    readonly hint?: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
