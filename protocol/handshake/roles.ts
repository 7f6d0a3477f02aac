/** Which end of a replication a machine is; a link always joins one of each. */
export const ROLES = ['primary', 'backup'] as const;
export type Role = (typeof ROLES)[number];

/** The role at the other end. */
export const peerRoleOf = (role: Role): Role => (role === 'primary' ? 'backup' : 'primary');

/** Rises when an older peer could misread what a newer one sends; both must have the same. */
export const PROTOCOL_VERSION = 1;

/**
 * What both sides mix into the handshake before the first byte, so that different protocols, versions or roles find
 * no common key: `farcopy`, version, role of the initiator, role of the responder, separated by zero bytes.
 */
export const prologue = (initiator: Role, responder: Role): Uint8Array =>
  Buffer.from(['farcopy', String(PROTOCOL_VERSION), initiator, responder].join('\0'), 'latin1');
