import type { RangeSet } from '../ranges.js';
import type { ParcelId } from '../units.js';

/** A parcel that is being sent. */
export interface OutgoingParcel {
  readonly id: ParcelId;
  readonly handle: number;
  readonly bytes: Uint8Array;
  readonly confirmed: RangeSet;
  readonly toSend: RangeSet;
  /** Everything that was sent in this session, to count what goes twice. */
  readonly sent: RangeSet;
  /** A report has named the handle, so it need not be announced any more. */
  announced: boolean;
}
