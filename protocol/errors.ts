/** What a frame, message or parcel from the other side can be wrong about. */
export type ProtocolErrorCode =
  | 'bad-frame'
  | 'bad-seal'
  | 'bad-handshake'
  | 'unknown-peer'
  | 'paused'
  | 'bad-message'
  | 'bad-parcel'
  | 'bad-seed'
  | 'limit-exceeded';

/** Input from the peer that breaks PROTOCOL.md; never our own mistake. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
  constructor(
    readonly code: ProtocolErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
