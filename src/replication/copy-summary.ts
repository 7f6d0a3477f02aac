import { MAX_HELD_RANGES, MAX_PARTIAL_PARCELS } from '../../protocol/messages/limits.js';
import type { CaptureSummary, CopyStatus } from '../../protocol/messages/message.js';
import { parcelListDigest } from '../../protocol/messages/parcel-list.js';
import type { CaptureStatus, VolumeStoreStatus } from '../store/volume-store.js';

/** What a backup tells a primary of one copy: short, since it opens every call. */
export function summarizeCopy(status: VolumeStoreStatus): CopyStatus {
  return {
    kind: 'copy-status',
    volume: status.volume,
    volumeId: status.volumeId,
    state: status.state?.id ?? null,
    capture: status.capture === null ? null : summarizeCapture(status.capture),
    ...(status.opening != null && { opening: status.opening }),
  };
}

function summarizeCapture({ offer, parcels, durable }: CaptureStatus): CaptureSummary {
  const isWhole = ({ length, held }: CaptureStatus['parcels'][number]): boolean =>
    held.length === 1 && held[0]?.start === 0 && held[0].end === length;
  const firstGap = parcels.findIndex((parcel) => !isWhole(parcel));
  const whole = firstGap < 0 ? parcels.length : firstGap;
  return {
    from: offer.from,
    to: offer.to.id,
    durable,
    whole,
    wholeDigest: parcelListDigest(parcels.slice(0, whole).map(({ id }) => id)),
    partial: parcels
      .slice(whole)
      .filter(({ held }) => held.length > 0)
      .slice(0, MAX_PARTIAL_PARCELS)
      .map(({ id, held }) => ({ id, held: held.slice(0, MAX_HELD_RANGES) })),
  };
}
