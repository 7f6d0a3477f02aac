import type { Message } from '../../protocol/messages/message.js';
import type { StateInfo } from '../../protocol/state.js';
import type { SerialQueue } from '../platform/serial-queue.js';
import type { CopyStanding } from './copy-standing.js';
import type { Outcomes } from './outcomes.js';
import { refusalOf, type Refusal } from './refusal.js';
import type { Retry } from './retry.js';
import type { SetBuild } from './set-build.js';
import type { ArrivedSet, SetCost } from './set-cost.js';
import type { SetSending } from './set-sending.js';
import type { Spool } from './spool.js';
import type { TravelPins } from './travel-pins.js';
import type { Travelling } from './travelling.js';

export interface SetArrivalOptions {
  readonly volumeName: string;
  readonly backup: string;
  readonly spool: Spool;
  readonly onEvent: (level: 'info', text: string) => void;
  /** Where what is heard of a set's end takes its turn. */
  readonly queue: SerialQueue;
  readonly pins: TravelPins;
  readonly travelling: Travelling;
  readonly build: SetBuild;
  readonly sending: SetSending;
  readonly copy: CopyStanding;
  readonly cost: SetCost;
  readonly outcomes: Outcomes;
  readonly retry: Retry;
  /** The backup holds what travels durably. */
  readonly onDurable: () => void;
  readonly onRefused: (refusal: Refusal) => void;
  /** Looks at what is to be done next. */
  readonly consider: () => Promise<void>;
}

/**
 * The end of a set: what is done when the backup holds it durably, and when it has applied it, from whichever session
 * that is heard. The primary forgets nothing before the first, and the spool is kept until the second.
 */
export class SetArrival {
  readonly #options: SetArrivalOptions;
  #last: ArrivedSet | null = null;

  constructor(options: SetArrivalOptions) {
    this.#options = options;
  }

  /** The last set that has arrived since the start; null: none has. */
  get last(): ArrivedSet | null {
    return this.#last;
  }

  /** The backup holds the travelling state durably: what is older may go. In its turn of the queue. */
  async becomeDurable(): Promise<void> {
    const { travelling, build, copy, spool, onDurable } = this.#options;
    const { target, isDurable } = travelling;
    if (target === null || isDurable) return;
    await build.stop();
    await travelling.settle();
    onDurable();
    // The state that the session began with may be gone from the volume now.
    copy.durable(target.id, spool.set);
  }

  /** The backup's copy is at the travelling state. In its turn of the queue. */
  async becomeApplied(): Promise<void> {
    const { travelling, spool, sending, copy, cost, outcomes, consider } = this.#options;
    const { volumeName, backup, onEvent } = this.#options;
    const state = travelling.target;
    if (state === null) return;
    // Else nothing would hold the state that the next set starts from.
    await this.becomeDurable();
    const parcels = spool.set?.to === state.id ? spool.set.parcels : [];
    const blocks = parcels.reduce((sum, parcel) => sum + parcel.blocks, 0);
    await travelling.arrive();
    await spool.discard();
    sending.end();
    copy.applied(state.id);
    onEvent('info', `${volumeName}: ${backup} is now at state ${state.id.slice(0, 8)}`);
    this.#last = cost.arrived(state, blocks, parcels);
    outcomes.tell({ kind: 'applied', state, blocks });
    void consider();
  }

  /** The set was durable before this session began: there is no transfer, only its end to hear of. */
  hearOfEnd(message: Message): void {
    const { queue, travelling, copy, retry, onRefused } = this.#options;
    const { session } = copy;
    const run = queue.run(async () => {
      if (!('to' in message) || message.to !== travelling.target?.id) return;
      if (message.kind === 'durable') await this.becomeDurable();
      else if (message.kind === 'applied') await this.becomeApplied();
      else if (message.kind === 'refused' && session === copy.session) onRefused(refusalOf(message.text));
    });
    run.catch((error: unknown) => retry.later('replication has failed', error as Error));
  }

  /**
   * A COMMIT of an earlier session was carried out after the set had been turned: the copy is further than it seemed.
   * Answers whether the message says so.
   */
  hearOfEarlier(message: Message): boolean {
    if (message.kind !== 'durable' && message.kind !== 'applied') return false;
    const { pins, queue, sending, copy, retry, consider } = this.#options;
    const find = (): StateInfo | undefined => pins.earlier.find(({ id }) => id === message.to);
    if (find() === undefined) return false;
    const run = queue.run(async () => {
      const state = find();
      if (state === undefined || !copy.isConnected) return;
      sending.end();
      await pins.settle(state);
      if (message.kind === 'applied') copy.applied(state.id);
      else copy.durable(state.id, null);
    });
    void run.then(
      () => consider(),
      (error: unknown) => retry.later('replication has failed', error as Error),
    );
    return true;
  }
}
