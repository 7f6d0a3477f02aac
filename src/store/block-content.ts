import { setImmediate } from 'node:timers/promises';

/** The most bytes the store reads, writes or digests in one go: a few milliseconds of the main thread. */
export const SLICE_BYTES = 1 << 20;

const ZEROS = Buffer.alloc(SLICE_BYTES);

/** A view of `length` zeros, at most `SLICE_BYTES`; never to be written. */
export const zeros = (length: number): Uint8Array => ZEROS.subarray(0, length);

export const isZero = (block: Uint8Array): boolean => ZEROS.subarray(0, block.byteLength).equals(block);

/** Lets everything else that waits for the main thread have its turn. */
export const breathe = (): Promise<void> => setImmediate();
