/** What replication can fail with. */
export type ReplicationErrorCode = 'encoder-died' | 'spool-damaged' | 'set-spoiled' | 'refused' | 'closed';

/** A failure between engine, spool and link. */
export class ReplicationError extends Error {
  override readonly name = 'ReplicationError';
  constructor(
    readonly code: ReplicationErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
