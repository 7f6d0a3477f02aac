import {
  tellAddressesApart,
  type AddressShare,
  type LineBytes,
  type SetAccount,
} from '../../protocol/set-account.js';
import type { StateInfo } from '../../protocol/state.js';
import type { StateId } from '../../protocol/units.js';
import type { SetLedger } from './set-ledger.js';
import type { TravelPins } from './travel-pins.js';

/** A set that has arrived, with what it was worth and has cost. */
export interface ArrivedSet {
  readonly state: StateInfo;
  readonly blocks: number;
  /** As in a `SetAccount`. */
  readonly written: number | null;
  /** By kind, addresses told apart where they are known; null: not counted. */
  readonly line: LineBytes | null;
}

/** A spooled parcel, as far as it is accounted for. */
interface CountedParcel {
  readonly length: number;
  readonly addresses?: number | undefined;
}

/** Of a set's parcels; null: of some it is not known. */
function addressShare(parcels: readonly CountedParcel[]): AddressShare | null {
  let addresses = 0;
  let encoded = 0;
  for (const parcel of parcels) {
    if (parcel.addresses === undefined) return null;
    addresses += parcel.addresses;
    encoded += parcel.length;
  }
  return { addresses, encoded };
}

/** What the set of one volume that travels to one backup is worth and costs. */
export class SetCost {
  readonly #volume: string;
  readonly #ledger: SetLedger | null;
  readonly #pins: TravelPins;
  #written: number | null = null;

  constructor(volume: string, ledger: SetLedger | null, pins: TravelPins) {
    this.#volume = volume;
    this.#ledger = ledger;
    this.#pins = pins;
  }

  /** Up to now, for a set of which these parcels are spooled; null: not counted, or nothing travels. */
  lineOf(parcels: readonly CountedParcel[]): LineBytes | null {
    const line = this.#ledger?.account(this.#volume) ?? null;
    return line === null ? null : tellAddressesApart(line, addressShare(parcels));
  }

  /** A set travels, from now on or still. What one that is given up has cost is the next one's cost. */
  begin(): void {
    this.#ledger?.begin(this.#volume);
  }

  moved(bytes: number): void {
    this.#ledger?.moved(this.#volume, bytes);
  }

  /** For the commit of a set: while it travels, the states between are still known. */
  atCommit(from: StateId | null, to: StateId, parcels: readonly CountedParcel[]): SetAccount {
    this.#written = this.#pins.writtenBetween(from, to);
    const line = this.#ledger?.account(this.#volume) ?? null;
    const addresses = addressShare(parcels)?.addresses;
    return { written: this.#written, line, ...(addresses !== undefined && { addresses }) };
  }

  arrived(state: StateInfo, blocks: number, parcels: readonly CountedParcel[]): ArrivedSet {
    const line = this.lineOf(parcels);
    this.#ledger?.end(this.#volume);
    const written = this.#written;
    this.#written = null;
    return { state, blocks, written, line };
  }
}
