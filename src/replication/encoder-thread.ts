import { parentPort } from 'node:worker_threads';
import type { ParcelContent } from '../../protocol/parcel/parcel.js';
import { encode, type EncodedParcel, type EncodingQuality } from './parcel-encoding.js';

/** The worker thread of `Encoder`: one request, one answer, in order. */

export interface EncodeRequest {
  readonly parcel: ParcelContent;
  readonly quality: EncodingQuality;
}
export type EncodeAnswer = { readonly ok: EncodedParcel } | { readonly failed: string };

const port = parentPort;
port?.on('message', ({ parcel, quality }: EncodeRequest) => {
  let answer: EncodeAnswer;
  try {
    answer = { ok: encode(parcel, quality) };
  } catch (error) {
    answer = { failed: (error as Error).message };
  }
  port.postMessage(answer);
});
