import { ProtocolError } from '../../protocol/errors.js';
import {
  isDelta,
  openDeltaAsync,
  type DeltaNeeds,
  type DeltaReferences,
} from '../../protocol/parcel/delta.js';
import { decodeParcelAsync, parseParcel, type AsyncDecompressor } from '../../protocol/parcel/parcel.js';
import type { ParcelId } from '../../protocol/units.js';
import { SLICE_BYTES } from './block-content.js';
import { ReferenceMismatch, StoreError } from './errors.js';
import type { Image } from './image.js';
import { digestBlocks, digestInSlices, type DecodedParcel } from './parcel-file.js';
import { ZERO_SLOT } from './run-table.js';
import type { ParcelAnnouncement, SetOffer } from './volume-store.js';

/** What the decoding of a parcel needs beside its bytes. */
export interface DecodingContext {
  readonly decompressor: AsyncDecompressor;
  /**
   * The content that a delta refers to; null: a parcel among it is still on its way. Rejects with `ReferenceMismatch`
   * when this side has not got it.
   */
  readonly references: (needs: DeltaNeeds) => Promise<DeltaReferences | null>;
}

/**
 * Decodes a whole parcel of a set and checks it against announcement and offer; null: it refers to a parcel that is still
 * on its way. `bad-parcel` if it does not fit, `ReferenceMismatch` if what it refers to does not make it what was
 * announced.
 */
export async function decodeArrived(
  encoded: Uint8Array,
  announcement: ParcelAnnouncement,
  offer: SetOffer,
  context: DecodingContext,
): Promise<DecodedParcel | null> {
  const { id } = announcement;
  const { blockSize, to } = offer;
  try {
    const serialized = isDelta(encoded)
      ? await undoDelta(encoded, announcement, offer, context)
      : await decodeParcelAsync(encoded, context.decompressor);
    if (serialized === null) return null;
    if (!(await isAnnounced(serialized, announcement))) {
      throw new StoreError('bad-parcel', `parcel ${id} is not what was announced`);
    }
    const content = parseParcel(serialized);
    const last = content.runs.at(-1);
    if (content.blockSize !== blockSize) {
      throw new StoreError('bad-parcel', `parcel ${id} has blocks of ${content.blockSize} bytes`);
    }
    if (last !== undefined && (last.start + last.count) * blockSize > to.size) {
      throw new StoreError('bad-parcel', `parcel ${id} has blocks past the end of the volume`);
    }
    return await digestBlocks(content);
  } catch (cause) {
    if (!(cause instanceof ProtocolError)) throw cause;
    throw new StoreError('bad-parcel', `parcel ${id}: ${cause.message}`, undefined, { cause });
  }
}

async function undoDelta(
  encoded: Uint8Array,
  announcement: ParcelAnnouncement,
  { blockSize, from }: SetOffer,
  { decompressor, references }: DecodingContext,
): Promise<Uint8Array | null> {
  const { id } = announcement;
  const delta = await openDeltaAsync(encoded, decompressor);
  const { base, parcels } = delta.needs;
  if (delta.needs.blockSize !== blockSize) {
    throw new StoreError('bad-parcel', `parcel ${id} has blocks of ${delta.needs.blockSize} bytes`);
  }
  if (from === null && base.length > 0) {
    throw new StoreError('bad-parcel', `parcel ${id} of a first copy refers to a base state`);
  }
  const found = await references(delta.needs);
  if (found === null) return null;
  const serialized = delta.apply(found);
  const isUnfit = base.length + parcels.length > 0 && !(await isAnnounced(serialized, announcement));
  if (isUnfit)
    throw unfit(id, delta.needs, 'makes something else of what is held here than what was announced');
  return serialized;
}

/** That a delta cannot be made out because of what it refers to. */
export const unfit = (id: ParcelId, { base }: DeltaNeeds, what: string): ReferenceMismatch =>
  new ReferenceMismatch([{ id, base }], `parcel ${id} ${what}`);

const isAnnounced = async (serialized: Uint8Array, { digest }: ParcelAnnouncement): Promise<boolean> =>
  Buffer.compare(await digestInSlices(serialized), digest) === 0;

/** Puts a parcel of a first copy where it belongs in the image; synced. */
export async function placeInImage(
  { table, content }: DecodedParcel,
  image: Image,
  blockSize: number,
): Promise<void> {
  for (let run = 0; run < table.length; run++) {
    const range = { start: table.start(run) * blockSize, end: table.end(run) * blockSize };
    const slot = table.slot(run);
    if (slot === ZERO_SLOT) {
      await image.clear(range);
      continue;
    }
    const bytes = content.subarray(slot * blockSize, slot * blockSize + range.end - range.start);
    for (let at = 0; at < bytes.byteLength; at += SLICE_BYTES) {
      await image.write(bytes.subarray(at, at + SLICE_BYTES), range.start + at);
    }
  }
  await image.sync();
}
