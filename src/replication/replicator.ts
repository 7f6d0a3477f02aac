import type { CopyStatus, Message } from '../../protocol/messages/message.js';
import { plan } from '../../protocol/session/plan.js';
import type { LineBytes } from '../../protocol/set-account.js';
import type { StateInfo } from '../../protocol/state.js';
import type { ParcelId, StateId, VolumeId } from '../../protocol/units.js';
import type { VolumeService } from '../engine/volume-service.js';
import type { Clock } from '../platform/clock.js';
import type { Log } from '../platform/log.js';
import type { Random } from '../platform/random.js';
import { SerialQueue } from '../platform/serial-queue.js';
import type { SessionLink } from './call.js';
import type { CompareOutcome } from './compare-wishes.js';
import { Comparisons } from './comparisons.js';
import { applied, durable, holding, withdrawn } from './copy-standing.js';
import type { ParcelEncoder } from './encoder.js';
import { ReplicationError } from './errors.js';
import { Outcomes, type TransferOutcome } from './outcomes.js';
import { OTHER_VOLUME, otherWriterText, refusalOf, strangerText, type Refusal } from './refusal.js';
import type { PendingPolicy } from './pending-policy.js';
import { Retry } from './retry.js';
import { SetBuild } from './set-build.js';
import { SetCost, type ArrivedSet } from './set-cost.js';
import type { SetLedger } from './set-ledger.js';
import { SetSending } from './set-sending.js';
import { SetTrouble } from './set-trouble.js';
import { SetTurning } from './set-turning.js';
import type { Spool } from './spool.js';
import { viewTransfer, type TransferView } from './transfer-view.js';
import { TravelPins } from './travel-pins.js';
import { Travelling } from './travelling.js';

export interface ReplicatorOptions {
  readonly volumeName: string;
  readonly volumeId: VolumeId;
  readonly blockSize: number;
  readonly volume: VolumeService;
  readonly backup: string;
  readonly spool: Spool;
  /** Bytes a second of the line that will most likely carry the sets, while none is up; undefined: a fast one. */
  readonly usualRate?: () => number | undefined;
  readonly encoder: ParcelEncoder;
  /** Of a `ReferenceIndex` of the volume; null: there is none. */
  readonly index?: () => SharedArrayBuffer | null;
  readonly clock: Clock;
  /** For the keys of compares. */
  readonly random: Random;
  readonly log: Log;
  readonly onEvent: (level: 'info' | 'warning' | 'error', text: string) => void;
  /** Absent: what travels arrives before anything newer. */
  readonly pending?: PendingPolicy;
  /** Keeps what sets cost; left out: nobody asks. */
  readonly ledger?: SetLedger;
  /**
   * Takes a snapshot that keeps the volume's rules of consistency, under the pin `next`. Left out: a fresh state is
   * sealed as it comes.
   */
  readonly snapshot?: (signal: AbortSignal) => Promise<void>;
}

/**
 * Brings one volume's states to one backup, one set at a time, over as many sessions as that takes. What it must not
 * forget is in the volume's pins and in the spool; everything else can be made again from them. Changes of what
 * travels are made one after the other in `#queue`.
 */
export class Replicator {
  readonly #options: ReplicatorOptions;
  readonly #queue = new SerialQueue();
  readonly #closing = new AbortController();
  readonly #outcomes = new Outcomes();
  readonly #retry: Retry;
  readonly #pins: TravelPins;
  readonly #travelling: Travelling;
  readonly #build: SetBuild;
  readonly #sending: SetSending;
  readonly #turning: SetTurning;
  readonly #trouble: SetTrouble;
  readonly #comparisons: Comparisons;
  readonly #cost: SetCost;
  #lastSet: ArrivedSet | null = null;
  /** Refused or in conflict: waits for the operator, or for another session. */
  #blocked = false;
  #isPaused = false;
  #session: SessionLink | null = null;
  #remote: CopyStatus | null = null;
  #applyFailed = false;
  /** The opening of the volume that wrote the copy last, as the session began; null: none, or it was compared since. */
  #lastWriter: string | null = null;

  constructor(options: ReplicatorOptions) {
    const { volume, backup, spool } = options;
    this.#options = options;
    this.#retry = new Retry(options, () => this.#consider(), this.#closing.signal);
    this.#pins = new TravelPins(volume, backup);
    this.#cost = new SetCost(options.volumeName, options.ledger ?? null, this.#pins);
    this.#travelling = new Travelling(this.#pins);
    this.#build = new SetBuild({
      ...options,
      owner: this.#pins.baseOwner,
      isUnheard: (to) => this.#travelling.isUnheard(to),
      bytesPerSecond: () =>
        this.#session === null ? this.#options.usualRate?.() : this.#session.bytesPerSecond,
      parcelsWaiting: () => this.#sending.parcelsWaiting ?? spool.set?.parcels.length ?? 0,
      onParcel: () => this.#parcelSpooled(),
      onRepaired: (parcel) => this.#sending.replaceParcel(parcel),
      onComplete: () => this.#setSpooled(),
      onFailed: (error) => this.#trouble.buildFailed(error),
    });
    this.#sending = new SetSending({
      ...options,
      queue: this.#queue,
      isTimeToCommit: (bytesLeft) => this.#turning.isTimeToCommit(bytesLeft),
      account: (from, to) => this.#cost.atCommit(from, to),
      onMoved: (bytes) => this.#cost.moved(bytes),
      onRoom: () => this.#build.wake(),
      opening: () => this.#pins.openings[0],
      withheld: () => this.#build.repairing,
      onMismatch: (parcel, base) => this.#trouble.heedMismatch(parcel, base),
      onDurable: () => this.#becomeDurable(),
      onApplied: () => this.#becomeApplied(),
      onRefused: (code, text) => this.#trouble.heedRefusal(code, text),
      onFailed: (error) => this.#trouble.stepFailed(error),
    });
    this.#turning = new SetTurning({
      ...options,
      pins: this.#pins,
      sending: this.#sending,
      bytesPerSecond: () => this.#session?.bytesPerSecond,
    });
    this.#trouble = new SetTrouble({
      ...options,
      queue: this.#queue,
      travelling: this.#travelling,
      build: this.#build,
      sending: this.#sending,
      retry: this.#retry,
      closing: this.#closing.signal,
      isConnected: () => this.#remote !== null,
      withdraw: () => this.#withdraw(),
      compareLater: () => void this.#comparisons.wish(this.#closing.signal).catch(() => undefined),
      onRefused: (refusal) => this.#refuse(refusal),
      consider: () => this.#consider(),
    });
    this.#comparisons = new Comparisons({
      ...options,
      queue: this.#queue,
      pins: this.#pins,
      build: this.#build,
      retry: this.#retry,
      closing: this.#closing.signal,
      session: () => this.#session,
      copy: () => this.#remote,
      onEnded: () => {
        this.#lastWriter = null;
        void this.#consider();
      },
      onRefused: (refusal) => this.#refuse(refusal),
      onGone: (state, error) => this.#comparedGone(state, error),
    });
  }

  /** The travelling set; null: none. */
  get view(): TransferView | null {
    const { target, isDurable } = this.#travelling;
    if (target === null) return null;
    const { set } = this.#options.spool;
    const travelling = set?.to === target.id ? set : null;
    return viewTransfer(target, travelling, this.#sending.held, isDurable, this.#pins.next);
  }

  /** What the travelling set has cost up to now; null: nothing travels, or it is not counted. */
  get cost(): LineBytes | null {
    return this.#travelling.target === null ? null : this.#cost.line;
  }

  /** The last set that has arrived since the start; null: none has. */
  get lastSet(): ArrivedSet | null {
    return this.#lastSet;
  }

  /** As `SetSending` counts them. */
  get unreportedBytes(): number {
    return this.#sending.unreportedBytes;
  }

  /** The state that the backup holds durably, as far as is known. */
  get base(): StateInfo | null {
    return this.#pins.base;
  }

  /** A set is to travel, or its end is awaited, and nothing but a line is missing for it. */
  get isActive(): boolean {
    const isWanted = this.#travelling.target !== null || this.#comparisons.isWished;
    return isWanted && !this.#blocked && !this.#isPaused;
  }

  /** How far the compare under way has digested its state, in blocks; null: none is. */
  get comparing(): { readonly done: number; readonly total: number } | null {
    return this.#comparisons.progress;
  }

  /**
   * Compares a fresh snapshot with the copy, when what travels now has arrived and a session is up. What differs goes
   * with the next set. Rejects with the signal's reason.
   */
  compare(signal: AbortSignal): Promise<CompareOutcome> {
    const outcome = this.#comparisons.wish(signal);
    void this.wake();
    return outcome;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Nothing more is sent until `resume`; what the backup holds of a set stays there. */
  pause(): Promise<void> {
    this.#isPaused = true;
    return this.#queue.run(() => {
      this.#putAside();
      this.#comparisons.end();
      this.#session?.attend(this.#options.volumeName, false);
      return Promise.resolve();
    });
  }

  resume(): Promise<void> {
    this.#isPaused = false;
    return this.#consider();
  }

  /** Takes up what an earlier run left. */
  async start(): Promise<void> {
    await this.#pins.refresh();
    // Of a compare that was cut short.
    await this.#pins.releaseCompared();
    return this.#consider();
  }

  /** A state was sealed under the `next` pin: it is to travel. */
  wake(): Promise<void> {
    this.#blocked = false;
    return this.#consider();
  }

  /** Resolves with the first outcome at or after a state; rejects with the signal's reason. */
  outcome(of: StateInfo, signal: AbortSignal): Promise<TransferOutcome> {
    return this.#outcomes.next(of, signal);
  }

  /** A session with the backup is up, and this is where its copy stands. */
  attach(session: SessionLink, remote: CopyStatus): void {
    this.#leaveSession();
    this.#session = session;
    this.#remote = remote;
    this.#lastWriter = remote.opening ?? null;
    this.#blocked = false;
    void this.#consider();
  }

  /** That session is over; another may have taken its place already. */
  detach(session: SessionLink): void {
    if (session === this.#session) this.#leaveSession();
  }

  handleMessage(message: Message): void {
    if (this.#comparisons.handleMessage(message) || this.#isOfEarlierTarget(message)) return;
    if (!this.#sending.handleMessage(message)) this.#hearOfEnd(message, this.#session);
  }

  handleProgress(parcel: ParcelId, held: number): void {
    this.#sending.handleProgress(parcel, held);
  }

  handleParcelHeld(parcel: ParcelId): void {
    this.#sending.handleParcelHeld(parcel);
  }

  async close(): Promise<void> {
    this.#leaveSession();
    this.#closing.abort(new ReplicationError('closed', 'replication is stopped'));
    await this.#build.stop();
    await this.#queue.idle();
    // What was queued may have started another.
    await this.#build.stop();
  }

  /** The set was durable before this session began: there is no transfer, only its end to hear of. */
  #hearOfEnd(message: Message, session: SessionLink | null): void {
    const run = this.#queue.run(async () => {
      if (!('to' in message) || message.to !== this.#travelling.target?.id) return;
      if (message.kind === 'durable') await this.#becomeDurable();
      else if (message.kind === 'applied') await this.#becomeApplied();
      else if (message.kind === 'refused' && session === this.#session) this.#refuse(refusalOf(message.text));
    });
    run.catch((error: unknown) => this.#retry.later('replication has failed', error as Error));
  }

  /** A COMMIT of an earlier session was carried out after the set had been turned: the copy is further than it seemed. */
  #isOfEarlierTarget(message: Message): boolean {
    if (message.kind !== 'durable' && message.kind !== 'applied') return false;
    const isEarlier = (): StateInfo | undefined => this.#pins.earlier.find(({ id }) => id === message.to);
    if (isEarlier() === undefined) return false;
    const run = this.#queue.run(async () => {
      const state = isEarlier();
      if (state === undefined || this.#remote === null) return;
      const { volumeName, volumeId } = this.#options;
      this.#sending.end();
      await this.#pins.settle(state);
      const isApplied = message.kind === 'applied';
      this.#remote = isApplied
        ? applied(volumeName, volumeId, state.id)
        : durable(this.#remote, volumeId, state.id, null);
    });
    void run.then(
      () => this.#consider(),
      (error: unknown) => this.#retry.later('replication has failed', error as Error),
    );
    return true;
  }

  #leaveSession(): void {
    this.#sending.leaveSession();
    this.#comparisons.end();
    this.#session = null;
    this.#remote = null;
  }

  /** The set leaves the line, and it is kept in mind what the backup holds of it, so that the session can go on with it. */
  #putAside(): void {
    const capture = this.#travelling.isDurable ? null : this.#sending.putAside();
    if (capture === null || this.#remote === null) return;
    this.#remote = holding(this.#remote, this.#options.volumeId, capture);
  }

  /** The backup is to forget what it holds of the set, which will not come as it was. */
  #withdraw(): void {
    this.#sending.withdraw();
    if (this.#remote !== null) this.#remote = withdrawn(this.#remote);
  }

  /** Looks at pins, spool and session, and does the next step; safe to ask for at any time. */
  #consider(): Promise<void> {
    return this.#queue.run(async () => {
      if (this.#closing.signal.aborted) return;
      try {
        await this.#decide();
        this.#session?.attend(this.#options.volumeName, this.isActive);
      } catch (error) {
        this.#retry.later('replication has failed', error as Error);
      }
    });
  }

  async #decide(): Promise<void> {
    await this.#pins.refresh();
    if (this.#comparisons.isUnderWay || (await this.#compareAsWished())) return;
    const target = await this.#chooseTarget();
    if (target === null || this.#blocked || this.#isPaused) return;
    if (this.#remote === null) {
      await this.#spoolAhead(target);
      return;
    }
    const position = {
      volumeId: this.#options.volumeId,
      states: this.#pins.states.map((state) => state.id),
      base: this.#pins.base?.id ?? null,
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
        if (this.#applyFailed) this.#askForApply(target, this.#remote);
        return;
      case 'send':
        if (next.from !== null && this.#isByStranger()) {
          const { volumeName, backup } = this.#options;
          this.#retry.tellOnce('error', otherWriterText(volumeName, backup));
          this.#comparisons.begin(target);
          return;
        }
        if (next.from !== null && this.#isInDoubt(next.from, target)) {
          const { volumeName } = this.#options;
          this.#retry.tellOnce(
            'warning',
            `${volumeName}: changes may have gone unnoticed; it is compared with its copy`,
          );
          this.#comparisons.begin(target);
          return;
        }
        if (await this.#turnToNewer(next.from, target)) return this.#decide();
        await this.#send(next.from, target, this.#remote);
        return;
      case 'conflict':
        if (next.reason === 'unknown-state') {
          const { volumeName, backup } = this.#options;
          this.#retry.tellOnce('error', strangerText(volumeName, backup, this.#remote));
          this.#comparisons.begin(target);
          return;
        }
        this.#refuse(OTHER_VOLUME);
        return;
      default:
        next satisfies never;
    }
  }

  async #send(from: StateId | null, target: StateInfo, remote: CopyStatus): Promise<void> {
    const { spool } = this.#options;
    await this.#build.fill(from, target.id, {
      kept: () => this.#turning.keptParcels(from, target.id, remote),
      count: (coverage) => this.#turning.blocksLeft(from, target.id, coverage),
    });
    await this.#pins.releaseEarlier(new Set(spool.set?.earlier.map(({ to }) => to)));
    if (this.#session === null) return;
    this.#travelling.noteOffered();
    await spool.noteOffered();
    this.#sending.begin(this.#session, from, target, remote);
  }

  /** The state that is to travel next takes the place of the one that does, if it may. */
  async #turnToNewer(from: StateId | null, target: StateInfo): Promise<boolean> {
    const { next: newer } = this.#pins;
    if (newer === null || !(await this.#turning.isDue(from, target, newer))) return false;
    this.#putAside();
    if (this.#options.spool.set?.to === target.id) await this.#pins.keepEarlier(target);
    await this.#travelling.depart(newer);
    this.#sending.forget();
    const { volumeName, backup, onEvent } = this.#options;
    onEvent('info', `${volumeName}: a newer snapshot takes the place of the one on its way to ${backup}`);
    return true;
  }

  /** What travels: the set already under way, else the newest state that is to. */
  async #chooseTarget(): Promise<StateInfo | null> {
    const travelling = this.#travelling;
    travelling.takeUp();
    const { target, isDurable } = travelling;
    const { next } = this.#pins;
    const givesWay = (state: StateInfo, newer: StateInfo): boolean =>
      this.#trouble.isUnwanted(state) ||
      (this.#remote === null && this.#turning.mayReplaceUnheard(state, newer));
    if (next !== null && (target === null || (!isDurable && givesWay(target, next)))) {
      await travelling.depart(next);
      this.#sending.forget();
    }
    if (!this.#turning.isSound) await this.#build.discard();
    if (travelling.target !== null) this.#cost.begin();
    return travelling.target;
  }

  /** With nobody connected: what will most likely be asked for. */
  async #spoolAhead(target: StateInfo): Promise<void> {
    const base = this.#pins.base?.id ?? null;
    if (base === target.id) {
      this.#travelling.foundDurable();
      return;
    }
    if (base !== null && this.#isInDoubt(base, target)) return;
    const { set } = this.#options.spool;
    const from = set?.from ?? null;
    // It is to be turned: what of it the backup holds is known when it is connected.
    if (this.#pins.earlier.some(({ id }) => id === set?.to)) return;
    // The backup may have been found at another state than the base: the set it asked for is kept while it can be made.
    const kept =
      set?.to === target.id &&
      (set.digest !== null || from === null || this.#pins.states.some(({ id }) => id === from));
    await this.#build.fill(kept ? from : base, target.id);
  }

  /** The backup had the whole set and could not apply it: the same offer and commit make it try again. */
  #askForApply(target: StateInfo, remote: CopyStatus): void {
    const { set } = this.#options.spool;
    if (set?.to !== target.id || set.digest === null) return;
    this.#applyFailed = false;
    if (this.#session !== null) this.#sending.begin(this.#session, set.from, target, remote);
  }

  #parcelSpooled(): void {
    const parcel = this.#options.spool.set?.parcels.at(-1);
    if (parcel === undefined) return;
    this.#retry.goesWell();
    this.#sending.addParcel(parcel);
  }

  #setSpooled(): void {
    const digest = this.#options.spool.set?.digest;
    if (digest == null) return;
    this.#sending.finish(digest);
  }

  /** The backup holds the state durably: what is older may go. */
  async #becomeDurable(): Promise<void> {
    const { target, isDurable } = this.#travelling;
    if (target === null || isDurable) return;
    await this.#build.stop();
    await this.#travelling.settle();
    this.#trouble.goesWell();
    if (this.#remote === null) return;
    // The state that the session began with may be gone from the volume now.
    this.#remote = durable(this.#remote, this.#options.volumeId, target.id, this.#options.spool.set);
  }

  async #becomeApplied(): Promise<void> {
    const { spool, volumeName, volumeId } = this.#options;
    const state = this.#travelling.target;
    if (state === null) return;
    // Else nothing would hold the state that the next set starts from.
    await this.#becomeDurable();
    const parcels = spool.set?.to === state.id ? spool.set.parcels : [];
    const blocks = parcels.reduce((sum, parcel) => sum + parcel.blocks, 0);
    await this.#travelling.arrive();
    await spool.discard();
    this.#sending.end();
    if (this.#remote !== null) this.#remote = applied(volumeName, volumeId, state.id);
    this.#options.onEvent(
      'info',
      `${volumeName}: ${this.#options.backup} is now at state ${state.id.slice(0, 8)}`,
    );
    this.#lastSet = this.#cost.arrived(state, blocks);
    this.#outcomes.tell({ kind: 'applied', state, blocks });
    void this.#consider();
  }

  #refuse(refusal: Refusal): void {
    this.#sending.end();
    this.#blocked = true;
    this.#applyFailed = this.#travelling.isDurable;
    this.#options.onEvent('error', `${this.#options.volumeName}: ${refusal.text}`);
    this.#outcomes.tell({ kind: 'refused', ...refusal });
    this.#comparisons.refuse(refusal);
  }

  /** Was the copy last written by an opening of this volume's state that is not one of ours. */
  #isByStranger(): boolean {
    const { openings } = this.#pins;
    return this.#lastWriter !== null && openings.length > 0 && !openings.includes(this.#lastWriter);
  }

  /** May a set from there lack changes. One that was spooled whole before the doubt does not. */
  #isInDoubt(from: StateId, target: StateInfo): boolean {
    const { set } = this.#options.spool;
    const isSpooled = set?.from === from && set.to === target.id && set.digest !== null;
    return !isSpooled && this.#pins.isInDoubt(from, target);
  }

  /** Begins the compare that somebody asked for, if its time has come. */
  async #compareAsWished(): Promise<boolean> {
    const { travelling, next } = this.#pins;
    const isBusy = this.#travelling.target !== null || travelling !== null || next !== null;
    if (!this.#comparisons.isWished || isBusy || this.#remote === null || this.#isPaused) return false;
    await this.#comparisons.beginWished(this.#remote);
    return true;
  }

  /** A travelling state is given up for a fresh one; a fresh one that was only to be compared is sealed anew. */
  #comparedGone(state: StateInfo, error: Error): void {
    if (state.id === this.#travelling.target?.id) void this.#trouble.takeAnother(state);
    else this.#retry.later('a compare has failed', error);
  }
}
