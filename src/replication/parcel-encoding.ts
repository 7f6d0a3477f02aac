import { brotliCompressSync, constants } from 'node:zlib';
import { isDelta } from '../../protocol/parcel/delta.js';
import {
  encodeParcel,
  parcelDigest,
  serializeParcel,
  type Compressor,
  type ParcelContent,
} from '../../protocol/parcel/parcel.js';
import { measured, plainForm, type MeasuredParcel } from '../encoding/address-share.js';
import { encodeWithReferences } from '../encoding/parcel-encoder.js';
import type { References } from '../encoding/references.js';
import { makesAgain, RememberingReader } from './delta-proof.js';
import { digestEntries } from './set-entries.js';

/**
 * Brotli quality by how fast the line drains: fewer bytes where a byte is slow, less work where it is not. 1 is for what
 * goes to a disk.
 */
export type EncodingQuality = 1 | 4 | 9 | 11;

/** For a line that carries a parcel sooner than it is searched for all that it repeats: its own blocks have to do. */
const FASTEST: EncodingQuality = 4;

export function qualityFor(bytesPerSecond: number | undefined): EncodingQuality {
  if (bytesPerSecond === undefined || bytesPerSecond > 1_000_000) return FASTEST;
  return bytesPerSecond > 50_000 ? 9 : 11;
}

/** A parcel ready for the spool. */
export interface EncodedParcel extends MeasuredParcel {
  /** `parcelDigest` of the decoded form. */
  readonly digest: Uint8Array;
  /** What the parcel adds to the set's digest; see `sumUp`. */
  readonly entries: Uint8Array;
  /** Why it refers to nothing although it should; absent: all went well. For the log. */
  readonly trouble?: string;
}

const MAX_WINDOW_BITS = 24;

/** Encodes one parcel without references; long and synchronous, so for the encoder's own thread. */
export function encode(parcel: ParcelContent, quality: EncodingQuality): EncodedParcel {
  const serialized = serializeParcel(parcel);
  const compressor = brotli(quality);
  return {
    ...measured(encodeParcel(serialized, compressor), plainForm(serialized, parcel), compressor),
    digest: parcelDigest(serialized),
    entries: digestEntries(parcel),
  };
}

/**
 * Encodes one parcel against what the far side holds. What comes out was decoded again before it is given out; where
 * the references make trouble, it is the parcel on its own.
 */
export async function encodeAgainst(
  parcel: ParcelContent,
  quality: EncodingQuality,
  references: References,
): Promise<EncodedParcel> {
  if (quality === FASTEST && references.own === null) return encode(parcel, quality);
  const digest = parcelDigest(serializeParcel(parcel));
  const reach = quality === FASTEST ? { ...references, base: null, finder: null, earlier: [] } : references;
  const base = reach.base === null ? null : new RememberingReader(reach.base);
  try {
    const made = await encodeWithReferences(
      parcel,
      { ...reach, base },
      { compressor: brotli(quality), effort: quality === 11 ? 'thorough' : 'quick' },
    );
    if (isDelta(made.encoded) && !makesAgain(made.encoded, digest, parcel, reach, base)) {
      throw new Error('a delta does not make its parcel again');
    }
    return { ...made, digest, entries: digestEntries(parcel) };
  } catch (error) {
    return { ...encode(parcel, quality), trouble: (error as Error).message };
  }
}

const brotli = (quality: EncodingQuality): Compressor => ({
  compress: (bytes) =>
    brotliCompressSync(bytes, {
      params: {
        [constants.BROTLI_PARAM_QUALITY]: quality,
        [constants.BROTLI_PARAM_LGWIN]: MAX_WINDOW_BITS,
        [constants.BROTLI_PARAM_SIZE_HINT]: bytes.byteLength,
      },
    }),
});
