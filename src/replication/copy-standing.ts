import type { CaptureSummary, CopyStatus } from '../../protocol/messages/message.js';
import { parcelListDigest } from '../../protocol/messages/parcel-list.js';
import type { StateId, VolumeId } from '../../protocol/units.js';
import type { SpooledSet } from './spool.js';

/**
 * Where a copy stands, as the session that began with its `CopyStatus` has changed it since: each function gives the
 * status that the backup would tell if it were asked now.
 */

/** It holds this much of a set, which has left the line. */
export const holding = (copy: CopyStatus, volumeId: VolumeId, capture: CaptureSummary): CopyStatus => ({
  ...copy,
  volumeId,
  capture,
});

/** It was told to forget what it holds of a set. */
export const withdrawn = (copy: CopyStatus): CopyStatus =>
  copy.capture?.durable === false ? { ...copy, capture: null } : copy;

/** It holds all of the set to a state; `set` is what is spooled. */
export function durable(
  copy: CopyStatus,
  volumeId: VolumeId,
  to: StateId,
  set: SpooledSet | null,
): CopyStatus {
  const parcels = set?.to === to ? set.parcels.map(({ id }) => id) : [];
  const from = set?.to === to ? set.from : copy.state;
  const wholeDigest = parcelListDigest(parcels);
  const capture = { from, to, durable: true, whole: parcels.length, wholeDigest, partial: [] };
  return { ...copy, volumeId, capture };
}

/** It is at a state, and holds nothing more. */
export const applied = (volume: string, volumeId: VolumeId, state: StateId): CopyStatus => ({
  kind: 'copy-status',
  volume,
  volumeId,
  state,
  capture: null,
});

/** The state that the copy is at, or will be when what it holds is applied. */
export const reachedBy = ({ state, capture }: CopyStatus): StateId | null =>
  capture?.durable === true ? capture.to : state;
