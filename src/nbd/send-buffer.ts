import type { Socket } from 'node:net';
import { setSendBuffer } from '../platform/syscalls.js';
import { descriptorOf } from './descriptor.js';

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
 * @returns false if this system or this Node cannot
 */
export function widenSendBuffer(socket: Socket): boolean {
  const fd = descriptorOf(socket);
  return fd !== null && setSendBuffer(fd, SEND_BUFFER_BYTES);
}
