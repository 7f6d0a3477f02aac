import type { StateInfo } from '../../protocol/state.js';
import { isBlockSize, MAX_BLOCKS } from '../../protocol/units.js';
import { StoreError } from './errors.js';
import type { VolumeRecord } from './volume-record.js';
import type { SetOffer } from './volume-store.js';

/** What a copy is when a set is offered to it. */
export interface OfferedCopy {
  /** For people: `PRIMARY/VOLUME`. */
  readonly name: string;
  readonly folder: string;
  /** null: there is none, or one of a volume that never had a state here and may be given up. */
  readonly record: VolumeRecord | null;
  /** The state that the copy is at, or will be when what was promised is applied. */
  readonly base: StateInfo | null;
}

/** Refuses an offer that does not fit: `other-volume`, `base-mismatch`, `geometry-mismatch`. */
export function checkOffer(offer: SetOffer, { name, folder, record, base }: OfferedCopy): void {
  const { from, to, blockSize } = offer;
  if (record !== null && record.volumeId !== offer.volumeId) {
    throw new StoreError(
      'other-volume',
      `the store holds another volume as ${name}`,
      `give the new volume another name, or move ${folder} away to begin a new copy`,
    );
  }
  if (from !== (base?.id ?? null)) {
    throw new StoreError(
      'base-mismatch',
      `the copy of ${name} is at ${base === null ? 'no state' : `state ${base.id}`}, the set starts from ${from ?? 'nothing'}`,
      'compare the volume with its copy',
    );
  }
  if (to.id === base?.id || record?.points.some((point) => point.state.id === to.id) === true) {
    throw new StoreError('base-mismatch', `the copy of ${name} has been at state ${to.id} before`);
  }
  if (!isBlockSize(blockSize) || to.size % blockSize !== 0 || to.size / blockSize > MAX_BLOCKS) {
    throw new StoreError('geometry-mismatch', `${to.size} bytes do not make blocks of ${blockSize}`);
  }
  if (record !== null && record.blockSize !== blockSize) {
    throw new StoreError(
      'geometry-mismatch',
      `the copy of ${name} has blocks of ${record.blockSize} bytes, the set of ${blockSize}`,
      `set blockSize back to ${record.blockSize} on the primary, or move ${folder} away to begin a new copy`,
    );
  }
  if (base !== null && to.size < base.size) {
    throw new StoreError(
      'geometry-mismatch',
      `volume ${name} has ${to.size} bytes, its copy ${base.size}`,
      `a volume may grow, not shrink: check the device on the primary, or move ${folder} away to begin a new copy`,
    );
  }
}
