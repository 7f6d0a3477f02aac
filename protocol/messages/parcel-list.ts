import { createHash } from 'node:crypto';
import { idBytes, type ParcelId } from '../units.js';

/** Names an ordered list of parcels in 16 bytes: SHA-256 of their ids, cut to 128 bits. */
export function parcelListDigest(parcels: Iterable<ParcelId>): Uint8Array {
  const hash = createHash('sha256');
  for (const parcel of parcels) hash.update(idBytes(parcel));
  return hash.digest().subarray(0, 16);
}
