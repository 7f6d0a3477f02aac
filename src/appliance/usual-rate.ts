import type { CallLink, ListenPort } from '../config/configuration.js';

const BITS_PER_BYTE = 10;
/** What telephone lines carry at best (V.34), bits a second. */
const TELEPHONE_BITS = 33_600;

/**
 * Bytes a second that a port will about carry, before it is open, for what is encoded ahead of a call; undefined: not
 * limited by us.
 */
export function usualRate(port: CallLink | ListenPort | undefined): number | undefined {
  switch (port?.type) {
    case 'serial':
      return port.baudRate / BITS_PER_BYTE;
    case 'modem':
      return Math.min(port.baudRate, TELEPHONE_BITS) / BITS_PER_BYTE;
    case 'tcp':
    case undefined:
      return undefined;
  }
}
