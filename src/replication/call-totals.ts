import type { LinkStats } from '../../protocol/link/counters.js';
import type { Range } from '../../protocol/ranges.js';
import type { ParcelId } from '../../protocol/units.js';

/** Counters of one call, over all the sessions in it. */
export interface CallTotals {
  readonly framesSent: number;
  readonly framesReceived: number;
  readonly framesDamaged: number;
  readonly framesRepeated: number;
  /** Parcel bytes sent again, and those of ended sessions that were sent and never confirmed: sent for nothing. */
  readonly bytesRepeated: number;
  /** Parcel bytes received that were held already. */
  readonly bytesDuplicate: number;
  /** Parcel bytes, those sent again included. */
  readonly payloadSent: number;
  /** Parcel bytes, duplicates not included. */
  readonly payloadReceived: number;
  /** Whole handshake frames. */
  readonly handshakeSent: number;
  readonly handshakeReceived: number;
}

export const NO_CALL: CallTotals = {
  framesSent: 0,
  framesReceived: 0,
  framesDamaged: 0,
  framesRepeated: 0,
  bytesRepeated: 0,
  bytesDuplicate: 0,
  payloadSent: 0,
  payloadReceived: 0,
  handshakeSent: 0,
  handshakeReceived: 0,
};

/** Adds up the sessions of a call. */
export class CallMeter {
  #past: CallTotals = NO_CALL;
  readonly #parcels = new Map<ParcelId, { readonly length: number; held: number }>();
  #confirmed = 0;
  #moved = 0;

  /** Parcel bytes that have arrived on the other side, or here; nothing counts twice. */
  get moved(): number {
    return this.#moved;
  }

  segmentArrived(length: number): void {
    this.#moved += length;
  }

  parcelSent(id: ParcelId, length: number, held: readonly Range[]): void {
    this.#parcels.set(id, { length, held: held.reduce((sum, range) => sum + range.end - range.start, 0) });
  }

  parcelProgress(id: ParcelId, held: number): void {
    const parcel = this.#parcels.get(id);
    if (parcel === undefined) return;
    this.#confirmed += held - parcel.held;
    this.#moved += Math.max(0, held - parcel.held);
    parcel.held = held;
  }

  parcelHeld(id: ParcelId): void {
    const length = this.#parcels.get(id)?.length;
    if (length !== undefined) this.parcelProgress(id, length);
    this.#parcels.delete(id);
  }

  /** While the session of these counters runs. */
  totals(stats: LinkStats): CallTotals {
    return this.#add(stats, 0);
  }

  /** The session of these counters has ended. */
  endSession(stats: LinkStats): void {
    this.#past = this.#add(stats, stats.payloadSent - stats.payloadRepeated - this.#confirmed);
    this.#parcels.clear();
    this.#confirmed = 0;
  }

  get past(): CallTotals {
    return this.#past;
  }

  #add(stats: LinkStats, lost: number): CallTotals {
    return {
      framesSent: this.#past.framesSent + stats.framesSent,
      framesReceived: this.#past.framesReceived + stats.framesReceived,
      framesDamaged: this.#past.framesDamaged + stats.framesDamaged,
      framesRepeated: this.#past.framesRepeated + stats.framesRepeated,
      bytesRepeated: this.#past.bytesRepeated + stats.payloadRepeated + lost,
      bytesDuplicate: this.#past.bytesDuplicate + stats.payloadDuplicate,
      payloadSent: this.#past.payloadSent + stats.payloadSent,
      payloadReceived: this.#past.payloadReceived + stats.payloadReceived,
      handshakeSent: this.#past.handshakeSent + stats.handshakeSent,
      handshakeReceived: this.#past.handshakeReceived + stats.handshakeReceived,
    };
  }
}
