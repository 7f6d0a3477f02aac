import { byteCount, stateId, volumeId, wallTime, type StateId } from '../../../../protocol/units.js';
import type { StateInfo } from '../../../../protocol/state.js';

/** What both ends of the bench know beforehand. */
export const VOLUME = 'bench';
export const PRIMARY = 'branch';
export const BLOCK_SIZE = 4096;
export const VOLUME_ID = volumeId('b'.repeat(32));

/** Content of one parcel, as the product cuts them for a fast line. */
export const PARCEL_BYTES = 16 << 20;

const nth = (n: number): string => n.toString(16).padStart(32, '0');

/** The state that set `n` (1, 2, …) leads to, of a volume of `parcels` parcels. */
export const stateOf = (n: number, parcels: number): StateInfo => ({
  id: stateId(nth(n)),
  parent: n === 1 ? null : stateId(nth(n - 1)),
  ordinal: n,
  time: wallTime(0),
  grade: 'crash',
  size: byteCount(parcels * PARCEL_BYTES),
});

/** Where set `n` starts: the first is a volume's first copy. */
export const baseOf = (n: number): StateId | null => (n === 1 ? null : stateId(nth(n - 1)));

/** Makes the static keys of an end: there is nobody to be kept out. */
export const keyBytes =
  (of: number) =>
  (count: number): Uint8Array =>
    new Uint8Array(count).fill(of);
