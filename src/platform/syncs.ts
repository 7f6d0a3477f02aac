import { Gate } from './gate.js';

/**
 * A sync holds a thread of libuv's pool for as long as the disk is slow, and serial ports are read and written by that
 * pool. All threads of the process share it (`cli/launch.cts` sets its size); each lets so many syncs into it at once.
 */
const SYNCS_AT_ONCE = 4;
/** What a client's write waits for must not wait for disks that are slower than its own. */
const URGENT_SYNCS_MORE = 1;
export const syncs = new Gate(SYNCS_AT_ONCE, URGENT_SYNCS_MORE);
