import { encodeDelta } from '../../protocol/parcel/delta.js';
import type { DeltaScript } from '../../protocol/parcel/delta-script.js';
import {
  encodeParcel,
  serializeParcel,
  type Compressor,
  type ParcelContent,
} from '../../protocol/parcel/parcel.js';
import type { OwnBlocks, References } from './references.js';

export interface EncodingOptions {
  readonly compressor: Compressor;
  /** `thorough` looks longer for fewer bytes, for lines on which a byte is slow. */
  readonly effort: 'quick' | 'thorough';
}

/** The smallest of delta, plain brotli and raw. */
export async function encodeWithReferences(
  parcel: ParcelContent,
  references: References,
  { compressor }: EncodingOptions,
): Promise<Uint8Array> {
  const plain = encodeParcel(serializeParcel(parcel), compressor);
  const delta = encodeDelta(ownDelta(parcel, references.own), compressor);
  await Promise.resolve();
  return delta.byteLength < plain.byteLength ? delta : plain;
}

/** Shorter agreements are not worth a copy. */
const MIN_COPY = 6;

function ownDelta(parcel: ParcelContent, own: OwnBlocks | null): DeltaScript {
  const { content, blockSize } = parcel;
  const literals: number[] = [];
  const lengths: number[] = [];
  const sources: number[] = [];
  let copied = 0;
  for (let at = 0; own !== null && at < content.byteLength;) {
    let end = at;
    while (
      end < content.byteLength &&
      own.present[Math.floor(end / blockSize)] === 1 &&
      own.content[end] === content[end]
    ) {
      end++;
    }
    if (end - at >= MIN_COPY) {
      literals.push(at - copied);
      lengths.push(end - at);
      sources.push(at);
      copied = end;
    }
    at = end + 1;
  }
  return {
    ...parcel,
    base: [],
    parcels: [],
    literals: Uint32Array.from(literals),
    lengths: Uint32Array.from(lengths),
    sources: Uint32Array.from(sources),
  };
}
