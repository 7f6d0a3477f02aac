import { ProtocolError } from '../../protocol/errors.js';
import { decodeParcelAsync, parseParcel, type AsyncDecompressor } from '../../protocol/parcel/parcel.js';
import { SLICE_BYTES } from './block-content.js';
import { StoreError } from './errors.js';
import type { Image } from './image.js';
import { digestBlocks, digestInSlices, type DecodedParcel } from './parcel-file.js';
import { ZERO_SLOT } from './run-table.js';
import type { ParcelAnnouncement, SetOffer } from './volume-store.js';

/** Decodes a whole parcel of a set and checks it against announcement and offer; `bad-parcel` if it does not fit. */
export async function decodeArrived(
  encoded: Uint8Array,
  { id, digest }: ParcelAnnouncement,
  { blockSize, to }: SetOffer,
  decompressor: AsyncDecompressor,
): Promise<DecodedParcel> {
  try {
    const serialized = await decodeParcelAsync(encoded, decompressor);
    if (Buffer.compare(await digestInSlices(serialized), digest) !== 0) {
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
