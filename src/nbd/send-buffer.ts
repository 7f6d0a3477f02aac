import type { Socket } from 'node:net';
import { setSendBuffer } from '../platform/syscalls.js';

/**
 * Linux lets anybody ask for as much as its default is (net.core.wmem_max), and doubles what is asked for: then a reply of
 * 256 KiB with all that the kernel keeps about it fits.
 */
const SEND_BUFFER_BYTES = 212_992;

/**
 * Lets a Unix socket take a long reply as a whole. By default it takes three quarters of 256 KiB; the rest waits until
 * three quarters of those are read, and then for its turn here, while the client waits for both. Not for TCP, whose buffer
 * grows by itself as long as nobody sets it.
 *
 * @returns false if this system, or this Node, which does not document the field that has the descriptor, cannot
 */
export function widenSendBuffer(socket: Socket): boolean {
  const handle = (socket as unknown as { readonly _handle?: { readonly fd?: unknown } | null })._handle;
  const fd = handle?.fd;
  return typeof fd === 'number' && fd >= 0 && setSendBuffer(fd, SEND_BUFFER_BYTES);
}
