/** Why a line could not be opened, or ended. */
export type TransportErrorCode =
  | 'no-device'
  | 'no-permission'
  | 'in-use'
  | 'refused'
  | 'lost'
  | 'closed'
  | 'failed'
  // The rest are a modem's.
  | 'no-modem'
  | 'modem-error'
  | 'busy'
  | 'no-answer'
  | 'no-carrier'
  | 'no-dialtone'
  | 'barred';

/** Those that another attempt alone does not heal: somebody has to do something, or at least to wait long. */
const STANDING: readonly TransportErrorCode[] = ['no-permission', 'modem-error', 'barred', 'closed'];

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

  /** Whether the same attempt may succeed soon with nobody doing anything. */
  get retryable(): boolean {
    return !STANDING.includes(this.code);
  }
}
