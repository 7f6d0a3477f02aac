import { parentPort } from 'node:worker_threads';
import type { ParcelContent } from '../../protocol/parcel/parcel.js';
import type { BlockIndex, ParcelId } from '../../protocol/units.js';
import type { BaseBlocks } from '../engine/volume-service.js';
import { addBlocks } from '../encoding/index-builder.js';
import type { BaseReader } from '../encoding/references.js';
import { ReferenceIndex } from '../encoding/reference-index.js';
import { EarlierParcels } from './earlier-parcels.js';
import { encode, encodeAgainst, type EncodedParcel, type EncodingQuality } from './parcel-encoding.js';

/** The worker thread of `Encoder`: one request, one answer, in order; in between it may ask for blocks of the base state. */

export interface EncodeRequest {
  readonly kind: 'encode';
  readonly parcel: ParcelContent;
  readonly quality: EncodingQuality;
  readonly references: RequestReferences;
}

/** Content that is to be found by parcels to come. */
export interface NoteRequest {
  readonly kind: 'note';
  readonly index: SharedArrayBuffer;
  readonly blockSize: number;
  readonly start: number;
  readonly content: Uint8Array;
}

/** What the far side holds, as far as it crosses with the request. */
export interface RequestReferences {
  /** Under which the parcel is remembered for those after it; null: it is to be plain, and is not. */
  readonly id: ParcelId | null;
  readonly earlier: readonly ParcelId[];
  readonly before: BaseBlocks | null;
  /** Blocks of the base state may be asked for. */
  readonly hasBase: boolean;
  /** Of a `ReferenceIndex`; null: there is none. */
  readonly index: SharedArrayBuffer | null;
}

/** The answer to `wanted`; null: it could not be read. */
export interface BaseAnswer {
  readonly kind: 'base';
  readonly blocks: BaseBlocks | null;
}

export type EncoderAnswer =
  | { readonly kind: 'encoded'; readonly parcel: EncodedParcel }
  | { readonly kind: 'noted' }
  | { readonly kind: 'failed'; readonly message: string }
  | { readonly kind: 'wanted'; readonly blocks: readonly BlockIndex[] };

const port = parentPort;
const earlierParcels = new EarlierParcels();
let onBase: (answer: BaseAnswer) => void = () => undefined;

const say = (answer: EncoderAnswer): void => port?.postMessage(answer);

const baseReader = (blockSize: number): BaseReader => ({
  read: async (blocks) => {
    const answer = new Promise<BaseAnswer>((resolve) => (onBase = resolve));
    say({ kind: 'wanted', blocks });
    const { blocks: found } = await answer;
    return blocks.map((_, i) =>
      found?.known[i] === 1 ? found.content.subarray(i * blockSize, (i + 1) * blockSize) : null,
    );
  },
});

async function encodeRequested({ parcel, quality, references }: EncodeRequest): Promise<EncodedParcel> {
  const { id, earlier, before, hasBase } = references;
  if (id === null) return encode(parcel, quality);
  const index = references.index === null ? null : ReferenceIndex.over(references.index);
  const encoded = await encodeAgainst(parcel, quality, {
    own: before === null ? null : { content: before.content, present: before.known },
    base: hasBase ? baseReader(parcel.blockSize) : null,
    finder: index,
    earlier: earlierParcels.of(earlier),
  });
  earlierParcels.remember(id, parcel);
  if (index !== null) noteParcel(index, parcel);
  return encoded;
}

/** The next set may find this content there. */
function noteParcel(index: ReferenceIndex, { runs, content, blockSize }: ParcelContent): void {
  let at = 0;
  for (const { start, count, zero } of runs) {
    if (zero) continue;
    addBlocks(index, start, content.subarray(at, at + count * blockSize));
    at += count * blockSize;
  }
}

function noteContent({ index, start, content }: NoteRequest): void {
  const opened = ReferenceIndex.over(index);
  if (opened !== null) addBlocks(opened, start, content);
  say({ kind: 'noted' });
}

port?.on('message', (message: EncodeRequest | NoteRequest | BaseAnswer) => {
  if (message.kind === 'base') {
    onBase(message);
    return;
  }
  if (message.kind === 'note') {
    noteContent(message);
    return;
  }
  encodeRequested(message).then(
    (parcel) => say({ kind: 'encoded', parcel }),
    (error: unknown) => say({ kind: 'failed', message: (error as Error).message }),
  );
});
