/** Why an appliance cannot do what was asked. */
export type ApplianceErrorCode =
  | 'wrong-role'
  | 'unknown-volume'
  | 'unknown-backup'
  | 'unknown-point'
  | 'unknown-link'
  | 'ambiguous'
  | 'peer-unreachable'
  | 'peer-unknown'
  | 'refused'
  | 'busy'
  | 'timeout'
  | 'target-exists'
  | 'in-use'
  | 'stopped'
  | 'failed';

/** A failure the operator sees. `hint` says what to do next. */
export class ApplianceError extends Error {
  override readonly name = 'ApplianceError';
  constructor(
    readonly code: ApplianceErrorCode,
    message: string,
    readonly hint?: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
