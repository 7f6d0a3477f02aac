import { KEY_BYTES } from '../../protocol/compare/digest.js';
import { StateGone } from '../../protocol/compare/tree.js';
import type { CopyStatus, Message } from '../../protocol/messages/message.js';
import { MAX_COMPARED_RANGES } from '../../protocol/messages/limits.js';
import { covering } from '../../protocol/ranges.js';
import type { StateInfo } from '../../protocol/state.js';
import type { VolumeId } from '../../protocol/units.js';
import type { VolumeService } from '../engine/volume-service.js';
import type { Random } from '../platform/random.js';
import type { SerialQueue } from '../platform/serial-queue.js';
import type { SessionLink } from './call.js';
import { Comparison, NotConfined, type CompareDoubt, type Compared } from './compare-source.js';
import type { KnownDigests } from './known-digests.js';
import { CompareWishes, type CompareOutcome } from './compare-wishes.js';
import { reachedBy, type CopyStanding } from './copy-standing.js';
import { ReplicationError } from './errors.js';
import { NO_COPY, OTHER_VOLUME, type Refusal } from './refusal.js';
import type { Retry } from './retry.js';
import type { SetBuild } from './set-build.js';
import type { TravelPins } from './travel-pins.js';

export interface ComparisonsOptions {
  readonly volumeName: string;
  readonly volumeId: VolumeId;
  readonly blockSize: number;
  readonly volume: VolumeService;
  readonly backup: string;
  readonly random: Random;
  readonly onEvent: (level: 'info' | 'warning', text: string) => void;
  /** Where what a compare has found takes its turn. */
  readonly queue: SerialQueue;
  readonly pins: TravelPins;
  readonly build: SetBuild;
  readonly retry: Retry;
  readonly closing: AbortSignal;
  readonly copy: CopyStanding;
  /** Looks at what is to be done next. */
  readonly consider: () => Promise<void>;
  readonly onRefused: (refusal: Refusal) => void;
  /** The state that was compared can no longer be read. */
  readonly onGone: (state: StateInfo, error: Error) => void;
}

/** After so many compares that a session's end has left without an answer the next has only what all backups know. */
const MAX_UNANSWERED = 2;

interface CompareReason {
  readonly why: string | null;
  readonly doubt: CompareDoubt | null;
  readonly known?: KnownDigests;
}

const ASKED_FOR: CompareReason = { why: null, doubt: null };

/** The compares of one volume with one far copy, one at a time: those asked for, and those that a set must wait for. */
export class Comparisons {
  readonly #options: ComparisonsOptions;
  readonly #wishes = new CompareWishes();
  #current: Comparison | null = null;
  #begun = 0;
  /** A session with a backup that does not know of confined compares. */
  #unconfined: SessionLink | null = null;
  #unanswered = 0;

  constructor(options: ComparisonsOptions) {
    this.#options = options;
  }

  /** All of the copy is to be compared: somebody asked for it and waits, or it is suspect. */
  get isWished(): boolean {
    return !this.#wishes.isEmpty || this.#options.pins.isSuspect;
  }

  get isUnderWay(): boolean {
    return this.#current !== null;
  }

  /** How far the compare under way has digested its state, in blocks; null: none is. */
  get progress(): { readonly done: number; readonly total: number } | null {
    return this.#current?.progress ?? null;
  }

  /** Resolves with the outcome of the next compare; rejects with the signal's reason. */
  wish(signal: AbortSignal): Promise<CompareOutcome> {
    return this.#wishes.next(signal);
  }

  /** Those who wait for a compare will not get one. */
  refuse(refusal: Refusal): void {
    this.#wishes.tell({ kind: 'refused', ...refusal });
  }

  /** Compares a fresh state with a copy that stands at `copy`, as was asked for. */
  async beginWished({ volumeId, state }: CopyStatus): Promise<void> {
    const { pins, onRefused } = this.#options;
    if (volumeId !== null && volumeId !== this.#options.volumeId) {
      onRefused(OTHER_VOLUME);
    } else if (state === null) {
      onRefused(NO_COPY);
    } else {
      this.begin(await pins.sealToCompare());
    }
  }

  /**
   * Compares a state with the copy: all of it, or just what is in doubt. Who has asked for a compare wants to know of
   * everything; a backup that does not know of the other compares all, or ends the call at what it does not know.
   * `why` is for the backup's operator; null: it was asked for. `known` is what is told of the state in the place of its
   * blocks.
   */
  begin(state: StateInfo, { why, doubt, known }: CompareReason = ASKED_FOR): void {
    const { session } = this.#options.copy;
    if (session === null) return;
    const isOld = this.#unanswered >= MAX_UNANSWERED;
    const isWhole = doubt === null || this.isWished || isOld || session === this.#unconfined;
    const { random, queue, retry } = this.#options;
    const comparison = new Comparison({
      ...this.#options,
      state,
      key: known?.key ?? random.bytes(KEY_BYTES),
      known: known ?? null,
      serial: this.#begun++,
      session,
      why: isOld ? null : why,
      doubt: isWhole ? null : { from: doubt.from, within: covering(doubt.within, MAX_COMPARED_RANGES) },
    });
    this.#current = comparison;
    const ended = comparison.run().then(
      (found) => queue.run(() => this.#compared(comparison, found)),
      (error: unknown) => queue.run(() => this.#failed(comparison, error as Error)),
    );
    ended.catch((error: unknown) => {
      if (this.#current === comparison) this.#current = null;
      // The volume may know of more by now than a part that was compared can settle.
      if (comparison.doubt !== null) this.#unanswered = MAX_UNANSWERED;
      retry.later('what a compare has found could not be kept', error as Error);
    });
  }

  /** A message of the backup about this volume; answers whether it belongs to a compare. */
  handleMessage(message: Message): boolean {
    return this.#current?.handleMessage(message) === true;
  }

  /** Nothing is to be sent. Those who wait go on waiting. */
  end(): void {
    this.#current?.abort();
    this.#current = null;
  }

  /** The session is over. */
  leaveSession(): void {
    if (this.#current?.isExtended === true && !this.#current.isAnswered) this.#unanswered++;
    this.end();
  }

  /** From now on the set that starts from the copy's state is what differs, and what has changed since. */
  async #compared(comparison: Comparison, { copy, differing, blocks }: Compared): Promise<void> {
    const { volumeName, backup, pins, build, closing, onEvent, consider, copy: standing } = this.#options;
    if (this.#current !== comparison || closing.aborted) return;
    const { state, doubt } = comparison;
    this.#unanswered = 0;
    const { status } = standing;
    const isExpected =
      copy.id === (status === null ? null : reachedBy(status)) && copy.id === (doubt?.from ?? copy.id);
    if (isExpected) {
      // What was spooled for the same two states is of before.
      await build.discard();
      await pins.rebase(copy, state, differing, doubt?.within);
      if (doubt === null) await pins.trust();
    }
    await pins.releaseCompared();
    this.#current = null;
    if (!isExpected) {
      const text = `the copy at ${backup} is at another state than it told; compare it again`;
      this.#options.onRefused({ text });
      return;
    }
    const some = blocks === 1 ? '1 block differs' : `${blocks} blocks differ`;
    const found = blocks === 0 ? 'nothing differs' : some;
    onEvent(
      blocks === 0 ? 'info' : 'warning',
      `${volumeName}: compared with the copy at ${backup}${doubt === null ? '' : ', where it was in doubt'}: ${found}`,
    );
    if (doubt === null) this.#wishes.tell({ kind: 'compared', state, blocks });
    standing.compared();
    void consider();
  }

  async #failed(comparison: Comparison, error: Error): Promise<void> {
    const { pins, retry, closing, onRefused, onGone } = this.#options;
    if (this.#current !== comparison || closing.aborted) return;
    if (error instanceof NotConfined) {
      this.#unconfined = this.#options.copy.session;
      comparison.abort();
      this.begin(comparison.state, { why: comparison.why, doubt: null });
      return;
    }
    // The backup is told, so that it waits no longer.
    comparison.abort();
    this.#current = null;
    await pins.releaseCompared();
    if (error instanceof ReplicationError && error.code === 'refused') {
      onRefused({ text: `the backup does not compare: ${error.message}` });
    } else if (error instanceof StateGone) {
      onGone(comparison.state, error);
    } else {
      retry.later('a compare has failed', error);
    }
  }
}
