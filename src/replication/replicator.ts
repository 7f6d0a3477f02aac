import { encodeMessage } from '../../protocol/messages/codec.js';
import type { CopyStatus, Message } from '../../protocol/messages/message.js';
import { plan } from '../../protocol/session/plan.js';
import { SetTransfer, type TransferStep } from '../../protocol/session/set-transfer.js';
import type { StateInfo } from '../../protocol/state.js';
import type { ParcelId, StateId, VolumeId } from '../../protocol/units.js';
import type { VolumeService } from '../engine/volume-service.js';
import type { Clock } from '../platform/clock.js';
import { sleep } from '../platform/clock.js';
import type { Log } from '../platform/log.js';
import type { SessionLink } from './call.js';
import type { Encoder } from './encoder.js';
import { ReplicationError } from './errors.js';
import { buildParcels } from './parcel-builder.js';
import { qualityFor } from './parcel-encoding.js';
import { SerialQueue } from './serial-queue.js';
import type { Spool } from './spool.js';

export interface ReplicatorOptions {
  readonly volumeName: string;
  readonly volumeId: VolumeId;
  readonly blockSize: number;
  readonly volume: VolumeService;
  readonly backup: string;
  readonly spool: Spool;
  readonly encoder: Encoder;
  readonly clock: Clock;
  readonly log: Log;
  readonly onEvent: (level: 'info' | 'warning' | 'error', text: string) => void;
}

/** How a set came to its end. */
export type TransferOutcome =
  | { readonly kind: 'applied'; readonly state: StateInfo; readonly blocks: number }
  | { readonly kind: 'refused'; readonly text: string; readonly hint: string };

/** Where a travelling set stands. */
export interface TransferView {
  readonly to: StateInfo;
  readonly phase: 'encoding' | 'sending' | 'committing' | 'applying';
  readonly blocks: number | null;
  readonly bytesHeld: number;
  readonly bytesKnown: number;
  readonly fraction: number;
}

/** Pins by which the volume keeps what one backup needs. */
const baseOf = (backup: string): string => `base:${backup}`;
const travelOf = (backup: string): string => `travel:${backup}`;
/** Where to seal a state that is to travel next. */
export const nextOf = (backup: string): string => `next:${backup}`;

/** Parcels spooled and not yet held by the backup: one on the line and one ready. */
const PARCELS_AHEAD = 2;
const MIN_PARCEL_BYTES = 1 << 20;
const MAX_PARCEL_BYTES = 8 << 20;
/** Line time worth one parcel, before compression. */
const PARCEL_SECONDS = 240;
/** After a failure of disk or encoder, before the same is tried again. */
const RETRY_MS = 5000;

/**
 * Brings one volume's states to one backup, one set at a time, over as many sessions as that takes. What it must not
 * forget is in the volume's pins and in the spool: `next` is a state that is to travel, `travel` the one that does,
 * `base` the one that the backup holds durably. Everything else can be made again from them.
 */
export class Replicator {
  readonly #options: ReplicatorOptions;
  readonly #queue = new SerialQueue();
  readonly #abort = new AbortController();
  readonly #watchers = new Set<(outcome: TransferOutcome) => void>();
  #pins: Readonly<Record<string, StateId>> = {};
  #states: readonly StateInfo[] = [];
  #target: StateInfo | null = null;
  #session: SessionLink | null = null;
  #remote: CopyStatus | null = null;
  #transfer: SetTransfer | null = null;
  #build: { readonly to: StateId; readonly abort: AbortController; readonly done: Promise<void> } | null =
    null;
  #wakeBuilder: () => void = () => undefined;
  #partial = new Map<ParcelId, number>();
  #durable = false;
  #blocked: string | null = null;

  constructor(options: ReplicatorOptions) {
    this.#options = options;
  }

  get volumeName(): string {
    return this.#options.volumeName;
  }

  /** Is there a state that the backup does not have yet. */
  get hasWork(): boolean {
    return this.#target !== null || this.#pins[nextOf(this.#options.backup)] !== undefined;
  }

  get view(): TransferView | null {
    const set = this.#options.spool.set;
    if (this.#target === null) return null;
    const ours = set !== null && set.to === this.#target.id ? set : null;
    const known = ours?.parcels.reduce((sum, parcel) => sum + parcel.length, 0) ?? 0;
    const progress = this.#transfer?.progress;
    const partial = [...this.#partial.values()].reduce((sum, bytes) => sum + bytes, 0);
    const held = this.#durable ? known : (progress?.bytesDone ?? 0) + partial;
    const gathered = ours?.parcels.reduce((sum, parcel) => sum + parcel.blocks, 0) ?? 0;
    const encodedShare = ours === null || ours.blocks === 0 ? 0 : Math.min(1, gathered / ours.blocks);
    const share = ours?.digest != null ? 1 : encodedShare;
    return {
      to: this.#target,
      phase: this.#phase(held, known, ours?.digest != null),
      blocks: ours?.blocks ?? null,
      bytesHeld: held,
      bytesKnown: known,
      fraction: this.#durable ? 1 : known === 0 ? 0 : share * (held / known),
    };
  }

  /** The state that the backup holds durably, as far as is known. */
  get base(): StateInfo | null {
    const id = this.#pins[baseOf(this.#options.backup)];
    return this.#states.find((state) => state.id === id) ?? null;
  }

  /** Takes up what an earlier run left. */
  start(): Promise<void> {
    return this.#consider();
  }

  /** A state was sealed under the `next` pin: it is to travel. */
  wake(): Promise<void> {
    this.#blocked = null;
    return this.#consider();
  }

  /** Resolves with the first outcome at or after a state; forgets the watch when the signal aborts. */
  outcome(of: StateInfo, signal: AbortSignal): Promise<TransferOutcome> {
    return new Promise((resolve, reject) => {
      const stop = (): void => {
        this.#watchers.delete(watch);
        signal.removeEventListener('abort', onAbort);
      };
      const onAbort = (): void => {
        stop();
        reject(signal.reason as Error);
      };
      const watch = (outcome: TransferOutcome): void => {
        if (outcome.kind === 'applied' && outcome.state.ordinal < of.ordinal) return;
        stop();
        resolve(outcome);
      };
      if (signal.aborted) onAbort();
      signal.addEventListener('abort', onAbort, { once: true });
      this.#watchers.add(watch);
    });
  }

  /** A session with the backup is up, and this is where its copy stands. */
  attach(session: SessionLink, remote: CopyStatus): void {
    this.#session = session;
    this.#remote = remote;
    this.#transfer = null;
    this.#partial.clear();
    this.#blocked = null;
    void this.#consider();
  }

  /** The session is over. */
  detach(): void {
    this.#session = null;
    this.#remote = null;
    this.#transfer = null;
    this.#partial.clear();
  }

  handleMessage(message: Message): void {
    this.#transfer?.handleMessage(message);
    if (this.#transfer === null && message.kind === 'applied' && message.to === this.#target?.id) {
      // The set was durable before this session began: there is no transfer, only its end to hear of.
      void this.#queue.run(() => this.#becomeApplied());
      return;
    }
    this.#step();
  }

  handleProgress(parcel: ParcelId, held: number): void {
    if (this.#options.spool.set?.parcels.some(({ id }) => id === parcel) === true)
      this.#partial.set(parcel, held);
  }

  handleParcelHeld(parcel: ParcelId): void {
    this.#partial.delete(parcel);
    this.#transfer?.parcelDone(parcel);
    this.#wakeBuilder();
    this.#step();
  }

  async close(): Promise<void> {
    this.detach();
    this.#abort.abort(new ReplicationError('closed', 'replication is stopped'));
    await this.#stopBuild();
    await this.#queue.idle();
  }

  #phase(held: number, known: number, complete: boolean): TransferView['phase'] {
    if (this.#durable) return 'applying';
    if (known === 0 && !complete) return 'encoding';
    return complete && held >= known && this.#transfer !== null ? 'committing' : 'sending';
  }

  /** Looks at pins, spool and session, and does the next step; safe to call at any time. */
  #consider(): Promise<void> {
    return this.#queue.run(async () => {
      if (this.#abort.signal.aborted) return;
      try {
        await this.#decide();
      } catch (error) {
        this.#options.log.error('Replication of a volume has failed and is tried again.', { err: error });
        this.#options.onEvent('error', `${this.volumeName}: ${(error as Error).message}; it is tried again`);
        void sleep(this.#options.clock, RETRY_MS, this.#abort.signal).then(
          () => this.#consider(),
          () => undefined,
        );
      }
    });
  }

  async #decide(): Promise<void> {
    await this.#refresh();
    await this.#chooseTarget();
    const target = this.#target;
    if (target === null || this.#blocked !== null) return;
    const base = this.#pins[baseOf(this.#options.backup)] ?? null;
    if (this.#remote === null) {
      await this.#spoolSet(base, target);
      return;
    }
    const position = {
      volumeId: this.#options.volumeId,
      states: this.#states.map((state) => state.id),
      base,
      target: target.id,
    };
    const next = plan(position, this.#remote);
    switch (next.kind) {
      case 'applied':
        await this.#becomeDurable();
        await this.#becomeApplied();
        return;
      case 'durable':
        await this.#becomeDurable();
        return;
      case 'send':
        await this.#spoolSet(next.from, target);
        this.#beginTransfer(next.from, target, this.#remote);
        return;
      case 'conflict':
        this.#refuse(...CONFLICTS[next.reason]);
        return;
      default:
        next satisfies never;
    }
  }

  async #refresh(): Promise<void> {
    const { pins, states } = await this.#options.volume.describe();
    this.#pins = pins;
    this.#states = states;
  }

  /** What travels: the set already under way, else the newest state that is to. */
  async #chooseTarget(): Promise<void> {
    const { backup, volume } = this.#options;
    const find = (owner: string): StateInfo | null =>
      this.#states.find((state) => state.id === this.#pins[owner]) ?? null;
    this.#target ??= find(travelOf(backup));
    if (this.#target !== null) return;
    const next = find(nextOf(backup));
    if (next === null) return;
    await volume.pin(travelOf(backup), next.id);
    await volume.unpin(nextOf(backup));
    await this.#refresh();
    this.#target = next;
    this.#durable = false;
  }

  /** Makes sure that the spool holds, or is being filled with, just this set. */
  async #spoolSet(from: StateId | null, target: StateInfo): Promise<void> {
    const { spool, volume } = this.#options;
    if (spool.set?.from !== from || spool.set.to !== target.id) {
      await this.#stopBuild();
      await spool.begin(from, target.id, await volume.countChanges({ from, to: target.id }));
    }
    if (spool.set?.digest === null && this.#build?.to !== target.id) this.#startBuild(target);
  }

  #startBuild(target: StateInfo): void {
    const abort = new AbortController();
    const { spool, encoder, volume, blockSize } = this.#options;
    const build = buildParcels(
      {
        volume,
        blockSize,
        spool,
        encoder,
        sizing: () => this.#sizing(),
        roomForNext: (signal) => this.#roomForNext(signal),
        onParcel: () => this.#parcelSpooled(),
      },
      abort.signal,
    );
    const done = build.then(
      () => this.#setSpooled(),
      (error: unknown) => this.#buildFailed(error as Error, abort.signal),
    );
    this.#build = { to: target.id, abort, done };
  }

  async #stopBuild(): Promise<void> {
    const build = this.#build;
    this.#build = null;
    build?.abort.abort(new ReplicationError('closed', 'the set is not wanted any more'));
    await build?.done;
  }

  #parcelSpooled(): void {
    const parcel = this.#options.spool.set?.parcels.at(-1);
    if (parcel === undefined) return;
    this.#transfer?.addParcel(parcel);
    this.#step();
  }

  #setSpooled(): void {
    this.#build = null;
    const digest = this.#options.spool.set?.digest;
    if (digest == null) return;
    this.#transfer?.finish(digest);
    this.#step();
  }

  /** A snapshot that can no longer be read whole is given up for a fresh one; anything else is tried again. */
  #buildFailed(error: Error, signal: AbortSignal): void {
    if (signal.aborted) return;
    this.#build = null;
    if (!(error instanceof ReplicationError && error.code === 'set-spoiled')) {
      this.#options.log.error('Encoding a set has failed and is tried again.', { err: error });
      this.#options.onEvent('error', `${this.volumeName}: ${error.message}; it is tried again`);
      void sleep(this.#options.clock, RETRY_MS, this.#abort.signal).then(
        () => this.#consider(),
        () => undefined,
      );
      return;
    }
    this.#options.onEvent('warning', `${this.volumeName}: ${error.message}; a new snapshot is taken instead`);
    void this.#queue.run(() => this.#giveUp()).then(() => this.#consider());
  }

  async #giveUp(): Promise<void> {
    const { volume, spool, backup, volumeName } = this.#options;
    const given = this.#target;
    if (given !== null) {
      this.#session?.sendMessage(encodeMessage({ kind: 'withdraw', volume: volumeName, to: given.id }));
    }
    for (const { id } of spool.set?.parcels ?? []) this.#session?.withdrawParcel(id);
    this.#transfer = null;
    this.#partial.clear();
    await spool.discard();
    this.#target = await volume.seal({ grade: 'crash', pinAs: [travelOf(backup)] });
  }

  #roomForNext(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => reject(signal.reason as Error);
      signal.addEventListener('abort', onAbort, { once: true });
      const look = (): void => {
        const waiting = this.#transfer?.parcelsWaiting ?? this.#options.spool.set?.parcels.length ?? 0;
        if (waiting >= PARCELS_AHEAD) return;
        signal.removeEventListener('abort', onAbort);
        this.#wakeBuilder = () => undefined;
        resolve();
      };
      this.#wakeBuilder = look;
      look();
    });
  }

  #sizing(): { readonly contentBytes: number; readonly quality: 4 | 9 | 11 } {
    const rate = this.#session?.bytesPerSecond;
    const wanted = rate === undefined ? MAX_PARCEL_BYTES : rate * PARCEL_SECONDS;
    return {
      contentBytes: Math.max(MIN_PARCEL_BYTES, Math.min(MAX_PARCEL_BYTES, Math.floor(wanted))),
      quality: qualityFor(rate),
    };
  }

  #beginTransfer(from: StateId | null, target: StateInfo, remote: CopyStatus): void {
    const { spool, volumeName, volumeId, blockSize } = this.#options;
    const set = spool.set;
    if (this.#session === null || this.#transfer !== null || set === null) return;
    this.#transfer = new SetTransfer(
      { kind: 'offer', volume: volumeName, volumeId, blockSize, from, to: target },
      remote,
      set.parcels,
      set.digest,
    );
    this.#wakeBuilder();
    this.#step();
  }

  /** Does what the transfer wants next; parcels are read from the spool one at a time. */
  #step(): void {
    void this.#queue.run(async () => {
      for (let step = this.#transfer?.poll(); step !== undefined; step = this.#transfer?.poll()) {
        try {
          await this.#take(step);
        } catch (error) {
          await this.#stepFailed(error as Error);
          return;
        }
      }
    });
  }

  async #take(step: TransferStep): Promise<void> {
    const session = this.#session;
    switch (step.kind) {
      case 'send':
        session?.sendMessage(encodeMessage(step.message));
        return;
      case 'stream': {
        const bytes = await this.#options.spool.read(step.parcel);
        if (session === this.#session) session?.sendParcel(step.parcel.id, bytes, step.held);
        return;
      }
      case 'durable':
        await this.#becomeDurable();
        return;
      case 'applied':
        await this.#becomeApplied();
        return;
      case 'refused':
        this.#refuse(`the backup refused the set: ${step.text}`, '');
        return;
      default:
        step satisfies never;
    }
  }

  async #stepFailed(error: Error): Promise<void> {
    this.#options.log.error('A set could not be sent and is encoded anew.', { err: error });
    this.#options.onEvent('error', `${this.volumeName}: ${error.message}; the set is encoded anew`);
    this.#transfer = null;
    await this.#stopBuild();
    await this.#options.spool.discard();
    void this.#consider();
  }

  /** The backup holds the state durably: older before-images and the spool may go. */
  async #becomeDurable(): Promise<void> {
    const { volume, spool, backup } = this.#options;
    if (this.#target === null || this.#durable) return;
    await this.#stopBuild();
    await volume.pin(baseOf(backup), this.#target.id);
    this.#durable = true;
    await this.#refresh();
    void spool;
  }

  async #becomeApplied(): Promise<void> {
    const { volume, spool, backup } = this.#options;
    const state = this.#target;
    if (state === null) return;
    const blocks = spool.set?.to === state.id ? spool.set.blocks : 0;
    await volume.unpin(travelOf(backup));
    await spool.discard();
    this.#target = null;
    this.#durable = false;
    this.#transfer = null;
    this.#partial.clear();
    const { volumeName, volumeId } = this.#options;
    if (this.#remote !== null) {
      this.#remote = { kind: 'copy-status', volume: volumeName, volumeId, state: state.id, capture: null };
    }
    await this.#refresh();
    this.#tell({ kind: 'applied', state, blocks });
    void this.#consider();
  }

  #refuse(text: string, hint: string): void {
    this.#transfer = null;
    this.#blocked = text;
    this.#options.onEvent('error', `${this.volumeName}: ${text}`);
    this.#tell({ kind: 'refused', text, hint });
  }

  #tell(outcome: TransferOutcome): void {
    for (const watch of [...this.#watchers]) watch(outcome);
  }
}

const CONFLICTS: Readonly<Record<'other-volume' | 'unknown-state', readonly [string, string]>> = {
  'other-volume': [
    'the backup keeps the copy of another volume under this name',
    'give the volume another name, or move the old copy away on the backup',
  ],
  'unknown-state': [
    'the backup holds a state that this primary does not know (was the state folder restored, or does a clone run?)',
    'find out which side is right; to start over, move the old copy away on the backup',
  ],
};
