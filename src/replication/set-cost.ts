import type { LineBytes, SetAccount } from '../../protocol/set-account.js';
import type { StateInfo } from '../../protocol/state.js';
import type { StateId } from '../../protocol/units.js';
import type { SetLedger } from './set-ledger.js';
import type { TravelPins } from './travel-pins.js';

/** A set that has arrived, with what it was worth and has cost. */
export interface ArrivedSet {
  readonly state: StateInfo;
  readonly blocks: number;
  readonly account: SetAccount;
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

  /** Up to now; null: not counted, or nothing travels. */
  get line(): LineBytes | null {
    return this.#ledger?.account(this.#volume) ?? null;
  }

  /** A set travels, from now on or still. What one that is given up has cost is the next one's cost. */
  begin(): void {
    this.#ledger?.begin(this.#volume);
  }

  moved(bytes: number): void {
    this.#ledger?.moved(this.#volume, bytes);
  }

  /** For the commit of a set: while it travels, the states between are still known. */
  atCommit(from: StateId | null, to: StateId): SetAccount {
    this.#written = this.#pins.writtenBetween(from, to);
    return { written: this.#written, line: this.line };
  }

  arrived(state: StateInfo, blocks: number): ArrivedSet {
    const account = { written: this.#written, line: this.#ledger?.end(this.#volume) ?? null };
    this.#written = null;
    return { state, blocks, account };
  }
}
