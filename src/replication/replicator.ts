import type { CopyStatus, Message, Suspect } from '../../protocol/messages/message.js';
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
import { CopyStanding } from './copy-standing.js';
import type { ParcelEncoder } from './encoder.js';
import { ReplicationError } from './errors.js';
import { Outcomes, type TransferOutcome } from './outcomes.js';
import type { PendingPolicy } from './pending-policy.js';
import type { Refusal } from './refusal.js';
import { ReplicationView } from './replication-view.js';
import { Retry } from './retry.js';
import { SeedConfirmation, type SeedDigests } from './seed-confirmation.js';
import { SetArrival } from './set-arrival.js';
import { SetBuild } from './set-build.js';
import { SetCost } from './set-cost.js';
import { SetCourse } from './set-course.js';
import type { SetLedger } from './set-ledger.js';
import { SetSending } from './set-sending.js';
import { SetTrouble } from './set-trouble.js';
import { SetTurning } from './set-turning.js';
import type { Spool } from './spool.js';
import { TargetChoice } from './target-choice.js';
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
  /** Left out: copies that come on a disk are compared as a whole. */
  readonly seedDigests?: SeedDigests;
}

/**
 * Brings one volume's states to one backup, one set at a time, over as many sessions as that takes. What it must not
 * forget is in the volume's pins and in the spool; everything else can be made again from them. Changes of what
 * travels are made one after the other in `#queue`.
 */
export class Replicator {
  readonly view: ReplicationView;
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
  readonly #seed: SeedConfirmation;
  readonly #cost: SetCost;
  readonly #copy: CopyStanding;
  readonly #course: SetCourse;
  readonly #choice: TargetChoice;
  readonly #arrival: SetArrival;
  /** Refused or in conflict: waits for the operator, or for another session. */
  #blocked = false;
  #isPaused = false;
  #applyFailed = false;

  constructor(options: ReplicatorOptions) {
    const { volumeName, volumeId, volume, backup, spool } = options;
    this.#options = options;
    this.#retry = new Retry(options, () => this.#consider(), this.#closing.signal);
    this.#pins = new TravelPins(volume, backup);
    this.#cost = new SetCost(volumeName, options.ledger ?? null, this.#pins);
    this.#travelling = new Travelling(this.#pins);
    this.#copy = new CopyStanding(volumeName, volumeId);
    this.#course = new SetCourse({ ...options, pins: this.#pins, copy: this.#copy });
    this.#build = new SetBuild({
      ...options,
      owner: this.#pins.baseOwner,
      isUnheard: (to) => this.#travelling.isUnheard(to),
      bytesPerSecond: () => {
        const { session } = this.#copy;
        return session === null ? options.usualRate?.() : session.bytesPerSecond;
      },
      parcelsWaiting: () => this.#sending.parcelsWaiting ?? spool.set?.parcels.length ?? 0,
      onParcel: (parcel) => {
        this.#retry.goesWell();
        this.#sending.addParcel(parcel);
      },
      onRepaired: (parcel) => this.#sending.replaceParcel(parcel),
      onComplete: (digest) => this.#sending.finish(digest),
      onFailed: (error) => this.#trouble.buildFailed(error),
    });
    const shared = {
      ...options,
      queue: this.#queue,
      closing: this.#closing.signal,
      retry: this.#retry,
      pins: this.#pins,
      travelling: this.#travelling,
      copy: this.#copy,
      build: this.#build,
      onRefused: (refusal: Refusal) => this.#refuse(refusal),
      consider: () => this.#consider(),
    };
    this.#sending = new SetSending({
      ...shared,
      isTimeToCommit: (bytesLeft) => this.#turning.isTimeToCommit(bytesLeft),
      account: (from, to) => this.#cost.atCommit(from, to, spool.set?.parcels ?? []),
      onMoved: (bytes) => this.#cost.moved(bytes),
      onRoom: () => this.#build.wake(),
      opening: () => this.#pins.openings[0],
      withheld: () => this.#build.repairing,
      onMismatch: (parcel, base) => this.#trouble.heedMismatch(parcel, base),
      onDurable: () => this.#arrival.becomeDurable(),
      onApplied: () => this.#arrival.becomeApplied(),
      onRefused: (code, text) => this.#trouble.heedRefusal(code, text),
      onFailed: (error) => this.#trouble.stepFailed(error),
    });
    this.#turning = new SetTurning({
      ...shared,
      sending: this.#sending,
      bytesPerSecond: () => this.#copy.session?.bytesPerSecond,
    });
    this.#trouble = new SetTrouble({
      ...shared,
      sending: this.#sending,
    });
    this.#choice = new TargetChoice({
      ...shared,
      sending: this.#sending,
      turning: this.#turning,
      trouble: this.#trouble,
    });
    this.#arrival = new SetArrival({
      ...shared,
      sending: this.#sending,
      cost: this.#cost,
      outcomes: this.#outcomes,
      onDurable: () => this.#trouble.goesWell(),
    });
    this.#comparisons = new Comparisons({
      ...shared,
      onGone: (state, error) => this.#comparedGone(state, error),
    });
    this.#seed = new SeedConfirmation({ ...shared, comparisons: this.#comparisons });
    this.view = new ReplicationView({
      ...shared,
      sending: this.#sending,
      cost: this.#cost,
      arrival: this.#arrival,
      comparisons: this.#comparisons,
    });
  }

  /** A set is to travel, or its end is awaited, and nothing but a line is missing for it. */
  get isActive(): boolean {
    const isWanted = this.#travelling.target !== null || this.#comparisons.isWished || this.#seed.isDue;
    return isWanted && !this.#blocked && !this.#isPaused;
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
      if (!this.#travelling.isDurable) this.#sending.putAside();
      this.#comparisons.end();
      this.#copy.session?.attend(this.#options.volumeName, false);
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
    this.#copy.attach(session, remote);
    this.#blocked = false;
    void this.#consider();
  }

  /** That session is over; another may have taken its place already. */
  detach(session: SessionLink): void {
    if (session === this.#copy.session) this.#leaveSession();
  }

  /** Blocks of the copy are perhaps not what they should be: they are compared before the next set from there. */
  heedSuspect({ state, blocks }: Suspect): void {
    this.#copy.suspect(state, blocks);
  }

  handleMessage(message: Message): void {
    if (this.#comparisons.handleMessage(message) || this.#arrival.hearOfEarlier(message)) return;
    if (!this.#sending.handleMessage(message)) this.#arrival.hearOfEnd(message);
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

  #leaveSession(): void {
    this.#sending.leaveSession();
    this.#comparisons.leaveSession();
    this.#copy.leave();
  }

  /** Looks at pins, spool and session, and does the next step; safe to ask for at any time. */
  #consider(): Promise<void> {
    return this.#queue.run(async () => {
      if (this.#closing.signal.aborted) return;
      try {
        await this.#decide();
        this.#copy.session?.attend(this.#options.volumeName, this.isActive);
      } catch (error) {
        this.#retry.later('replication has failed', error as Error);
      }
    });
  }

  async #decide(): Promise<void> {
    await this.#pins.refresh();
    if (this.#comparisons.isUnderWay || (await this.#confirmSeed()) || (await this.#compareAsWished()))
      return;
    const target = await this.#choice.take();
    if (target !== null) this.#cost.begin();
    if (target === null || this.#blocked || this.#isPaused) return;
    const remote = this.#copy.status;
    if (remote === null) {
      await this.#spoolAhead(target);
      return;
    }
    const next = this.#course.next(target, remote);
    switch (next.kind) {
      case 'applied':
        await this.#arrival.becomeDurable();
        await this.#arrival.becomeApplied();
        return;
      case 'durable':
        await this.#arrival.becomeDurable();
        if (this.#applyFailed) this.#askForApply(target);
        return;
      case 'send':
        if (await this.#choice.turnToNewer(next.from, target)) return this.#decide();
        await this.#send(next.from, target, remote);
        return;
      case 'compare':
        this.#retry.tellOnce(next.level, next.why);
        this.#comparisons.begin(target, { why: next.said, doubt: next.doubt });
        return;
      case 'refuse':
        if (next.refusal.isExpected === true && !this.#copy.isStillThere(this.#options.clock.now()))
          this.#retry.soon();
        else this.#refuse(next.refusal);
        return;
      default:
        next satisfies never;
    }
  }

  async #send(from: StateId | null, target: StateInfo, remote: CopyStatus): Promise<void> {
    const { spool } = this.#options;
    await this.#build.fill(from, target.id, this.#turning.turnTo(from, target.id, remote));
    await this.#pins.releaseEarlier(new Set(spool.set?.earlier.map(({ to }) => to)));
    if (!this.#copy.isConnected) return;
    this.#travelling.noteOffered();
    await spool.noteOffered();
    const { session, status } = this.#copy;
    // Another session may have begun meanwhile, with another place of the copy: it is decided anew for that.
    if (session !== null && status === remote) this.#sending.begin(session, from, target, remote);
  }

  /** With nobody connected. */
  async #spoolAhead(target: StateInfo): Promise<void> {
    const step = this.#course.ahead(target);
    if (step.kind === 'durable') this.#travelling.foundDurable();
    else if (step.kind === 'spool') await this.#build.fill(step.from, target.id);
  }

  /** The backup had the whole set and could not apply it: the same offer and commit make it try again. */
  #askForApply(target: StateInfo): void {
    const { set } = this.#options.spool;
    const { session, status } = this.#copy;
    if (set?.to !== target.id || set.digest === null) return;
    this.#applyFailed = false;
    if (session !== null && status !== null) this.#sending.begin(session, set.from, target, status);
  }

  #refuse(refusal: Refusal): void {
    this.#sending.end();
    this.#blocked = true;
    this.#applyFailed = this.#travelling.isDurable;
    const text = `${this.#options.volumeName}: ${refusal.text}`;
    if (refusal.isExpected === true) this.#retry.tellOnce('warning', text);
    else this.#options.onEvent('error', text);
    this.#outcomes.tell({ kind: 'refused', ...refusal });
    this.#comparisons.refuse(refusal);
  }

  /** Begins the compare of a copy that came on a disk, if there is such a one. */
  async #confirmSeed(): Promise<boolean> {
    if (this.#blocked || this.#isPaused || !this.#seed.isDue) return false;
    await this.#seed.begin(await this.#choice.take());
    return true;
  }

  /** Begins the compare that is wished, if its time has come. */
  async #compareAsWished(): Promise<boolean> {
    const { travelling, next } = this.#pins;
    const isBusy = this.#travelling.target !== null || travelling !== null || next !== null;
    const remote = this.#copy.status;
    if (!this.#comparisons.isWished || isBusy || remote === null) return false;
    if (this.#blocked || this.#isPaused) return false;
    await this.#comparisons.beginWished(remote);
    return true;
  }

  /** A travelling state is given up for a fresh one; a fresh one that was only to be compared is sealed anew. */
  #comparedGone(state: StateInfo, error: Error): void {
    if (state.id === this.#travelling.target?.id) void this.#trouble.takeAnother(state);
    else this.#retry.later('a compare has failed', error);
  }
}
