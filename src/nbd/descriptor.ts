import type { Socket } from 'node:net';

/** The number a socket is open under, from a field that Node does not document; null if it is closed or has none. */
export function descriptorOf(socket: Socket): number | null {
  const handle = (socket as unknown as { readonly _handle?: { readonly fd?: unknown } | null })._handle;
  const fd = handle?.fd;
  return typeof fd === 'number' && fd >= 0 ? fd : null;
}
