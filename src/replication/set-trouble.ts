import type { RefusalCode } from '../../protocol/messages/message.js';
import type { Range } from '../../protocol/ranges.js';
import type { StateInfo } from '../../protocol/state.js';
import type { ParcelId, StateId } from '../../protocol/units.js';
import type { Log } from '../platform/log.js';
import type { SerialQueue } from '../platform/serial-queue.js';
import type { CopyStanding } from './copy-standing.js';
import { ReplicationError } from './errors.js';
import { refusalOf, type Refusal } from './refusal.js';
import type { Retry } from './retry.js';
import type { SetBuild } from './set-build.js';
import type { SetSending } from './set-sending.js';
import type { TravelPins } from './travel-pins.js';
import type { Travelling } from './travelling.js';

export interface SetTroubleOptions {
  readonly volumeName: string;
  readonly log: Log;
  readonly onEvent: (level: 'warning', text: string) => void;
  readonly queue: SerialQueue;
  readonly pins: TravelPins;
  readonly travelling: Travelling;
  readonly build: SetBuild;
  readonly sending: SetSending;
  readonly retry: Retry;
  readonly closing: AbortSignal;
  readonly copy: CopyStanding;
  /** As of `ReplicatorOptions`. */
  readonly snapshot?: (signal: AbortSignal) => Promise<void>;
  readonly onRefused: (refusal: Refusal) => void;
  /** Looks at what is to be done next. */
  readonly consider: () => Promise<void>;
}

/**
 * What is done when a set cannot go on as it is: made again from the same state (a spool that is damaged, a digest that
 * the backup cannot confirm), given up for a fresh state (a snapshot that lost content), or left to the operator.
 */
export class SetTrouble {
  readonly #options: SetTroubleOptions;
  /** A set that the backup will not take as it is, however often it is offered. */
  #unwanted: StateId | null = null;
  /** A set that was encoded anew already because the backup could not make it out. */
  #startedOver: StateId | null = null;
  /** A set in which the backup was found to hold something else than it should. */
  #mismatched: StateId | null = null;
  /** Snapshots given up one after the other without one that arrived. */
  #givenUp = 0;
  /** A fresh snapshot is being taken. */
  #isTaking = false;

  constructor(options: SetTroubleOptions) {
    this.#options = options;
  }

  /** Is it of no use to offer this state again. */
  isUnwanted(state: StateInfo): boolean {
    return this.#unwanted === state.id;
  }

  /** A state has arrived. */
  goesWell(): void {
    this.#givenUp = 0;
  }

  /** Encoding has ended with an error. A snapshot that can no longer be read whole is given up for a fresh one. */
  buildFailed(error: Error): void {
    const { queue, retry, travelling, copy, onEvent, volumeName } = this.#options;
    const code = error instanceof ReplicationError ? error.code : null;
    const spoiled = travelling.target;
    if (code === 'spool-damaged') {
      void queue.run(() => this.stepFailed(error));
    } else if (code !== 'set-spoiled' || spoiled === null) {
      retry.later('encoding has failed', error);
    } else if (copy.isConnected) {
      onEvent('warning', `${volumeName}: ${error.message}; a new snapshot is taken instead`);
      void this.takeAnother(spoiled);
    }
    // With nobody connected it is not known whether the backup has got the whole set after all: the state stays until then.
  }

  /** A newer state instead of a spoiled one, the one that waits or a fresh one: the first time at once; then slowly, for where each spoils it would never end. */
  async takeAnother(spoiled: StateInfo): Promise<void> {
    const { queue, retry, consider, snapshot, closing, travelling, copy } = this.#options;
    try {
      if (this.#givenUp++ > 0) await retry.pause();
      if (snapshot !== undefined) {
        if (this.#isTaking || !travelling.isStill(spoiled) || closing.aborted) return;
        this.#isTaking = true;
        // Outside of the queue: it may have to wait for a consistent moment.
        await snapshot(closing).finally(() => (this.#isTaking = false));
        // As in `buildFailed`; what was taken waits.
        if (!copy.isConnected) return;
      }
      await queue.run(() => this.#giveUp(spoiled));
      await consider();
    } catch (failure) {
      retry.later('a new snapshot could not be taken', failure as Error);
    }
  }

  /** A step of the sending has failed. A spool that cannot be read is made again. In its turn of the queue. */
  async stepFailed(error: Error): Promise<void> {
    const { log, sending, retry } = this.#options;
    if (error instanceof ReplicationError && error.code === 'spool-damaged') {
      await this.#startOver().catch((failure: unknown) => {
        log.error('The spool of a volume cannot be cleared.', { err: failure });
      });
    } else {
      sending.end();
    }
    retry.later('sending has failed', error);
  }

  /** The backup does not take the set. In its turn of the queue. */
  async heedRefusal(code: RefusalCode, text: string): Promise<void> {
    const { travelling, onEvent, volumeName, onRefused, consider } = this.#options;
    const target = travelling.target?.id ?? null;
    if (code === 'digest-mismatch' && !travelling.isDurable && this.#startedOver !== target) {
      this.#startedOver = target;
      // It may be older than what the parcels are encoded with.
      if (target !== null) this.#options.build.encodePlainly(target);
      await this.#startOver();
      onEvent(
        'warning',
        `${volumeName}: the backup could not make out the set (${text}); it is sent once more, without deltas`,
      );
      void consider();
      return;
    }
    if (code !== 'no-space' && code !== 'failed') this.#unwanted = target;
    onRefused(refusalOf(text));
  }

  /** The backup holds something else than a parcel refers to. In its turn of the queue. */
  async heedMismatch(parcel: ParcelId, base: readonly Range[]): Promise<void> {
    const { travelling, pins, build, onEvent, volumeName } = this.#options;
    const { target, isDurable } = travelling;
    if (target === null || isDurable) return;
    // Before the parcel is spooled anew: nothing would tell of the mismatch after a kill.
    await pins.suspect(target);
    build.repair(parcel, base);
    if (this.#mismatched === target.id) return;
    this.#mismatched = target.id;
    onEvent(
      'warning',
      `${volumeName}: the copy is not what it should be in blocks that a part of the set refers to; ` +
        'that part is sent in full, and the copy is compared when the set has arrived',
    );
  }

  async #giveUp(spoiled: StateInfo): Promise<void> {
    const { travelling, build, sending, closing } = this.#options;
    if (!travelling.isStill(spoiled) || closing.aborted) return;
    sending.withdraw();
    await build.discard();
    await travelling.departAnew();
    sending.forget();
  }

  /** What is spooled is no good: the same set is to be encoded again. */
  async #startOver(): Promise<void> {
    this.#options.sending.withdraw();
    await this.#options.build.discard();
  }
}
