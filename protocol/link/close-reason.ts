/** Why a side ends a session on purpose; the peer is told. The order is the wire's code. */
export const CLOSE_REASONS = ['done', 'shutdown', 'refused', 'replaced', 'failed'] as const;
export type CloseReason = (typeof CLOSE_REASONS)[number];
