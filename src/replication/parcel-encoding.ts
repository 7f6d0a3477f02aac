import { brotliCompressSync, constants } from 'node:zlib';
import {
  encodeParcel,
  parcelDigest,
  serializeParcel,
  type ParcelContent,
} from '../../protocol/parcel/parcel.js';
import { BLOCK_DIGEST_BYTES, blockDigest, type SetDigest } from '../../protocol/parcel/set-digest.js';

/** Brotli quality by how fast the line drains: fewer bytes where a byte is slow, less work where it is not. */
export type EncodingQuality = 4 | 9 | 11;

export function qualityFor(bytesPerSecond: number | undefined): EncodingQuality {
  if (bytesPerSecond === undefined || bytesPerSecond > 1_000_000) return 4;
  return bytesPerSecond > 50_000 ? 9 : 11;
}

/** A parcel ready for the spool. */
export interface EncodedParcel {
  readonly encoded: Uint8Array;
  /** `parcelDigest` of the decoded form. */
  readonly digest: Uint8Array;
  /** What the parcel adds to the set's digest; see `replayEntries`. */
  readonly entries: Uint8Array;
}

const MAX_WINDOW_BITS = 24;

/** Encodes one parcel; long and synchronous, so for the encoder's own thread. */
export function encode(parcel: ParcelContent, quality: EncodingQuality): EncodedParcel {
  const serialized = serializeParcel(parcel);
  const compress = (bytes: Uint8Array): Uint8Array =>
    brotliCompressSync(bytes, {
      params: {
        [constants.BROTLI_PARAM_QUALITY]: quality,
        [constants.BROTLI_PARAM_LGWIN]: MAX_WINDOW_BITS,
        [constants.BROTLI_PARAM_SIZE_HINT]: bytes.byteLength,
      },
    });
  return {
    encoded: encodeParcel(serialized, { compress }),
    digest: parcelDigest(serialized),
    entries: digestEntries(parcel),
  };
}

const HEAD_BYTES = 13;

/**
 * A parcel's runs and the digests of its blocks, so that the digest of a set can be made after a restart without its
 * content: for each run `first index (6 bytes LE), count (6), zero (1)`, then 16 bytes a block unless zero.
 */
function digestEntries(parcel: ParcelContent): Uint8Array {
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const run of parcel.runs) {
    const head = Buffer.alloc(HEAD_BYTES);
    head.writeUIntLE(run.start, 0, 6);
    head.writeUIntLE(run.count, 6, 6);
    head[12] = run.zero ? 1 : 0;
    parts.push(head);
    if (run.zero) continue;
    for (let i = 0; i < run.count; i++) {
      parts.push(blockDigest(parcel.content.subarray(at, at + parcel.blockSize)));
      at += parcel.blockSize;
    }
  }
  return Buffer.concat(parts);
}

/** Adds one parcel's `entries` to a set's digest; parcels must come in block order. */
export function replayEntries(entries: Uint8Array, digest: SetDigest): void {
  const view = Buffer.from(entries.buffer, entries.byteOffset, entries.byteLength);
  for (let at = 0; at < view.byteLength;) {
    const start = view.readUIntLE(at, 6);
    const count = view.readUIntLE(at + 6, 6);
    const zero = view[at + 12] === 1;
    at += HEAD_BYTES;
    if (zero) {
      digest.addZeroRun(start, count);
      continue;
    }
    for (let i = 0; i < count; i++) {
      digest.addBlock(start + i, view.subarray(at, at + BLOCK_DIGEST_BYTES));
      at += BLOCK_DIGEST_BYTES;
    }
  }
}
