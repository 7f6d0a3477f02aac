import type { ParcelContent } from '../../protocol/parcel/parcel.js';
import type { ParcelId } from '../../protocol/units.js';
import type { EarlierParcel } from '../encoding/references.js';

/** Half of what a delta may refer to: the rest is for blocks of the base state. */
const MAX_BYTES = 32 << 20;

/** Content of the parcels encoded last, for those after them to refer to; bounded, so the oldest go. */
export class EarlierParcels {
  readonly #parcels = new Map<ParcelId, ParcelContent>();
  #bytes = 0;

  /** Keeps `parcel` as it is; it is not to be changed any more. */
  remember(id: ParcelId, parcel: ParcelContent): void {
    this.#parcels.set(id, parcel);
    this.#bytes += parcel.content.byteLength;
    for (const [oldest, { content }] of this.#parcels) {
      if (this.#bytes <= MAX_BYTES) break;
      this.#parcels.delete(oldest);
      this.#bytes -= content.byteLength;
    }
  }

  /** Those of `ids` that are remembered, in the same order. */
  of(ids: readonly ParcelId[]): readonly EarlierParcel[] {
    return ids.flatMap((id) => {
      const parcel = this.#parcels.get(id);
      return parcel === undefined ? [] : [{ id, parcel }];
    });
  }
}
