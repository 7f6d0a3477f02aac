import type { CloseReason } from '../../protocol/link/close-reason.js';
import type { Range } from '../../protocol/ranges.js';
import type { Millis, ParcelId } from '../../protocol/units.js';
import type { SessionLink } from './call.js';

/** Parcels in the link at once, of all volumes; a link takes twice as many. */
const PARCELS_ON_LINE = 8;

interface WaitingParcel {
  readonly id: ParcelId;
  readonly bytes: Uint8Array;
  readonly held: readonly Range[];
}

/**
 * The link of a session as the volumes of a primary share it: a link carries a bounded number of parcels, and those of
 * further volumes wait here for their turn.
 */
export class ParcelLane implements SessionLink {
  readonly #link: SessionLink;
  readonly #onLine = new Set<ParcelId>();
  readonly #waiting: WaitingParcel[] = [];

  constructor(link: SessionLink) {
    this.#link = link;
  }

  get bytesPerSecond(): number | undefined {
    return this.#link.bytesPerSecond;
  }

  get lastHeardAt(): Millis | null {
    return this.#link.lastHeardAt;
  }

  sendMessage(bytes: Uint8Array): void {
    this.#link.sendMessage(bytes);
  }

  /** As the link's; a parcel that is on its way already goes anew. */
  sendParcel(id: ParcelId, bytes: Uint8Array, held: readonly Range[]): void {
    this.withdrawParcel(id);
    this.#waiting.push({ id, bytes, held });
    this.#fill();
  }

  withdrawParcel(id: ParcelId): readonly Range[] {
    const place = this.#waiting.findIndex((parcel) => parcel.id === id);
    const waiting = place >= 0 ? this.#waiting.splice(place, 1) : [];
    if (!this.#onLine.delete(id)) return waiting[0]?.held ?? [];
    const held = this.#link.withdrawParcel(id);
    this.#fill();
    return held;
  }

  /** The peer holds all of it: there is room for another. */
  handleParcelHeld(id: ParcelId): void {
    if (this.#onLine.delete(id)) this.#fill();
  }

  expectParcel(id: ParcelId, length: number, held: readonly Range[]): void {
    this.#link.expectParcel(id, length, held);
  }

  kept(id: ParcelId, start: number, end: number): void {
    this.#link.kept(id, start, end);
  }

  refuseParcel(id: ParcelId): void {
    this.#link.refuseParcel(id);
  }

  forgetParcel(id: ParcelId): void {
    this.#link.forgetParcel(id);
  }

  attend(matter: string, awaited: boolean): void {
    this.#link.attend(matter, awaited);
  }

  close(why: CloseReason): void {
    this.#link.close(why);
  }

  #fill(): void {
    while (this.#onLine.size < PARCELS_ON_LINE) {
      const parcel = this.#waiting.shift();
      if (parcel === undefined) return;
      // The link may say at once that all of it is held.
      this.#onLine.add(parcel.id);
      this.#link.sendParcel(parcel.id, parcel.bytes, parcel.held);
    }
  }
}
