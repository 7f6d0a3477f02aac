import { createHash } from 'node:crypto';
import { ProtocolError } from '../errors.js';
import { blockIndex, isBlockSize, MAX_BLOCKS, type BlockIndex } from '../units.js';
import { VarintReader, VarintWriter } from './varint.js';

/**
 * A parcel is a part of a change set in one compact byte stream (PROTOCOL.md, "Parcel"). Its decoded content, which
 * the parcel's digest covers, is a table of runs followed by the content of the runs that are not zero. One format
 * byte in front tells how the rest is encoded; a delta against the base state is to become another format.
 */

/** Blocks that follow each other: with content, or all zeros. */
export interface ParcelRun {
  readonly start: BlockIndex;
  readonly count: number;
  readonly zero: boolean;
}

export interface ParcelContent {
  readonly blockSize: number;
  /** Ascending, disjoint. */
  readonly runs: readonly ParcelRun[];
  /** Content of the runs that are not zero, in order. */
  readonly content: Uint8Array;
}

/** The most block content one parcel may hold, so that either side can hold a parcel in memory. */
export const MAX_PARCEL_CONTENT = 32 << 20;
/** The most runs in a parcel: a run of one 512-byte block each would stay below it. */
export const MAX_PARCEL_RUNS = 1 << 17;
/** The longest decoded form: content, and at most 11 bytes for each run. */
export const MAX_PARCEL_DECODED = MAX_PARCEL_CONTENT + 11 * MAX_PARCEL_RUNS + 16;
/** The longest encoded form: never longer than raw. */
export const MAX_PARCEL_ENCODED = MAX_PARCEL_DECODED + 1;

const RAW = 0;
const BROTLI = 1;

/** Compression as a parameter: whoever calls decides quality, thread and limits. */
export interface Compressor {
  compress(bytes: Uint8Array): Uint8Array;
}
export interface Decompressor {
  /** Throws when the input is damaged or would grow past `limit` bytes. */
  decompress(bytes: Uint8Array, limit: number): Uint8Array;
}

/** A `Decompressor` that works elsewhere (a thread pool), so that the caller's thread stays free. */
export interface AsyncDecompressor {
  /** Rejects when the input is damaged or would grow past `limit` bytes. */
  decompress(bytes: Uint8Array, limit: number): Promise<Uint8Array>;
}

/** The form that is compressed, and that `parcelDigest` covers. */
export function serializeParcel(parcel: ParcelContent): Uint8Array {
  const head = new VarintWriter();
  head.write(parcel.blockSize);
  head.write(parcel.runs.length);
  let end = 0;
  for (const run of parcel.runs) {
    head.write(run.start - end);
    head.write(run.count * 2 + (run.zero ? 1 : 0));
    end = run.start + run.count;
  }
  return Buffer.concat([head.bytes(), parcel.content]);
}

/** SHA-256 of the decoded form: 32 bytes. */
export const parcelDigest = (serialized: Uint8Array): Uint8Array =>
  createHash('sha256').update(serialized).digest();

/** The smaller of brotli and raw. */
export function encodeParcel(serialized: Uint8Array, compressor: Compressor): Uint8Array {
  const packed = compressor.compress(serialized);
  const [format, body] = packed.byteLength < serialized.byteLength ? [BROTLI, packed] : [RAW, serialized];
  return Buffer.concat([Uint8Array.of(format), body]);
}

/** Undoes `encodeParcel`: the decoded form, for `parcelDigest` and `parseParcel`. Throws `bad-parcel`. */
export function decodeParcel(encoded: Uint8Array, decompressor: Decompressor): Uint8Array {
  const body = encoded.subarray(1);
  switch (encoded[0]) {
    case RAW:
      if (body.byteLength > MAX_PARCEL_DECODED) throw bad('longer than a parcel may be');
      return body;
    case BROTLI:
      try {
        return decompressor.decompress(body, MAX_PARCEL_DECODED);
      } catch (cause) {
        throw bad('does not decompress', cause);
      }
    default:
      throw bad(`unknown format ${encoded[0] ?? 'none'}`);
  }
}

/** `decodeParcel` with the decompression done elsewhere. Rejects with `bad-parcel`. */
export async function decodeParcelAsync(
  encoded: Uint8Array,
  decompressor: AsyncDecompressor,
): Promise<Uint8Array> {
  if (encoded[0] !== BROTLI) return decodeParcel(encoded, NO_DECOMPRESSOR);
  try {
    return await decompressor.decompress(encoded.subarray(1), MAX_PARCEL_DECODED);
  } catch (cause) {
    throw bad('does not decompress', cause);
  }
}

const NO_DECOMPRESSOR: Decompressor = {
  decompress: () => {
    throw new Error('never called: only brotli is decompressed');
  },
};

/** Takes the decoded form apart, checking every field. Throws `bad-parcel`. The content is a view of the input. */
export function parseParcel(serialized: Uint8Array): ParcelContent {
  const reader = new VarintReader(serialized, () => bad('ends early'));
  const blockSize = reader.read();
  if (!isBlockSize(blockSize)) throw bad(`block size ${blockSize}`);
  const runCount = reader.read();
  if (runCount > MAX_PARCEL_RUNS) throw bad(`${runCount} runs`);
  const runs: ParcelRun[] = [];
  let end = 0;
  let contentBlocks = 0;
  for (let i = 0; i < runCount; i++) {
    const start = end + reader.read();
    const tagged = reader.read();
    const count = Math.floor(tagged / 2);
    const zero = tagged % 2 === 1;
    end = start + count;
    if (count === 0 || end > MAX_BLOCKS) throw bad(`run of ${count} blocks at ${start}`);
    if (!zero) contentBlocks += count;
    runs.push({ start: blockIndex(start), count, zero });
  }
  const content = serialized.subarray(reader.position);
  if (content.byteLength !== contentBlocks * blockSize) throw bad('content length does not match its runs');
  if (content.byteLength > MAX_PARCEL_CONTENT) throw bad('content longer than a parcel may hold');
  return { blockSize, runs, content };
}

const bad = (what: string, cause?: unknown): ProtocolError =>
  new ProtocolError('bad-parcel', `parcel: ${what}`, cause === undefined ? undefined : { cause });
