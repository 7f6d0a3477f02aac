import { brotliCompressSync, constants } from 'node:zlib';
import {
  encodeParcel,
  parcelDigest,
  serializeParcel,
  type ParcelContent,
} from '../../protocol/parcel/parcel.js';
import { digestEntries } from './set-entries.js';

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
  /** What the parcel adds to the set's digest; see `sumUp`. */
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
