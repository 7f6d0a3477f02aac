/** Why a line could not be opened, or ended. */
export type TransportErrorCode =
  'no-device' | 'no-permission' | 'in-use' | 'refused' | 'lost' | 'closed' | 'failed';

/** A failure of a port or line. `hint` tells the operator what to do next, where that is known. */
export class TransportError extends Error {
  override readonly name = 'TransportError';
  constructor(
    readonly code: TransportErrorCode,
    message: string,
    readonly hint?: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
