import type { LineBytes } from '../../protocol/set-account.js';
import type { StateInfo } from '../../protocol/state.js';
import type { Comparisons } from './comparisons.js';
import type { SetArrival } from './set-arrival.js';
import type { ArrivedSet, SetCost } from './set-cost.js';
import type { SetSending } from './set-sending.js';
import type { SpooledSet, Spool } from './spool.js';
import { viewTransfer, type TransferView } from './transfer-view.js';
import type { TravelPins } from './travel-pins.js';
import type { Travelling } from './travelling.js';

export interface ReplicationViewOptions {
  readonly spool: Spool;
  readonly travelling: Travelling;
  readonly sending: SetSending;
  readonly pins: TravelPins;
  readonly cost: SetCost;
  readonly arrival: SetArrival;
  readonly comparisons: Comparisons;
}

/** How the replication of one volume stands, for those who show it. */
export class ReplicationView {
  readonly #options: ReplicationViewOptions;

  constructor(options: ReplicationViewOptions) {
    this.#options = options;
  }

  /** The travelling set; null: none. */
  get transfer(): TransferView | null {
    const { travelling, sending, pins } = this.#options;
    const { target, isDurable } = travelling;
    return target === null
      ? null
      : viewTransfer(target, this.#setTo(target), sending.held, isDurable, pins.next);
  }

  /** What the travelling set has cost up to now; null: nothing travels, or it is not counted. */
  get cost(): LineBytes | null {
    const { travelling, cost } = this.#options;
    const { target } = travelling;
    return target === null ? null : cost.lineOf(this.#setTo(target)?.parcels ?? []);
  }

  /** The last set that has arrived since the start; null: none has. */
  get lastSet(): ArrivedSet | null {
    return this.#options.arrival.last;
  }

  /** As `SetSending` counts them. */
  get unreportedBytes(): number {
    return this.#options.sending.unreportedBytes;
  }

  /** The state that the backup holds durably, as far as is known. */
  get base(): StateInfo | null {
    return this.#options.pins.base;
  }

  /** The state of a first copy that is on its way on a disk, or was not confirmed yet; null: there is none. */
  get seed(): StateInfo | null {
    const { seed, base } = this.#options.pins;
    return seed?.id === base?.id ? null : seed;
  }

  /** How far the compare under way has digested its state, in blocks; null: none is. */
  get comparing(): { readonly done: number; readonly total: number } | null {
    return this.#options.comparisons.progress;
  }

  #setTo(target: StateInfo): SpooledSet | null {
    const { set } = this.#options.spool;
    return set?.to === target.id ? set : null;
  }
}
