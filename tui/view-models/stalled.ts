import type { ApplianceStatus, TransferStatus } from '../../src/appliance/status.js';

/** Whether a set cannot go on for now because its peer is on no line. An apply needs none. */
export const isStalled = ({ links }: ApplianceStatus, { peer, phase }: TransferStatus): boolean =>
  phase !== 'applying' && !links.some((link) => link.state === 'connected' && link.peer === peer);
