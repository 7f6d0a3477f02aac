import { decodeMessage, encodeMessage } from '../../protocol/messages/codec.js';
import type { Announce, Commit, Compare, Message, Offer, Withdraw } from '../../protocol/messages/message.js';
import { ProtocolError } from '../../protocol/errors.js';
import type { ParcelId, StateId } from '../../protocol/units.js';
import type { Log } from '../platform/log.js';
import type { RestorePoint, VolumeStore } from '../store/volume-store.js';
import type { Session, SessionLink } from './call.js';
import type { SegmentRun } from './gathered-segments.js';
import { ImageComparisons, type ImageFinding } from './image-comparisons.js';
import { IncomingSet, type Spoiled, type Unfit } from './incoming-set.js';
import type { SetLedger } from './set-ledger.js';
import { accountOf } from './target-account.js';
import { coveringRanges, refusalFor } from './target-answers.js';

/** The part of the store that belongs to one primary. */
export interface PrimaryStore {
  /** The volume's copy, made at its first offer. Fails with StoreError. */
  volume(name: string): Promise<VolumeStore>;
}

export interface TargetSessionOptions {
  readonly link: SessionLink;
  readonly store: PrimaryStore;
  readonly log: Log;
  /** An apply has ended; the primary's current session, which may be another than this, is to say so. */
  readonly onApplied: (volume: string, point: RestorePoint) => void;
  readonly onTrouble: (volume: string, text: string) => void;
  /** The primary does not trust what it knows of a copy, and compares it. */
  readonly onDistrust?: (volume: string, why: string) => void;
  /** A compare that the primary has made out of distrust has found so many blocks that differ. */
  readonly onCompared?: (volume: string, differing: number) => void;
  /** Keeps what sets cost; left out: nobody asks. */
  readonly ledger?: SetLedger;
}

/** The set that a piece of work belongs to. */
interface About {
  readonly volume: string;
  readonly to: StateId | { readonly id: StateId };
}

/** A parcel that cannot be decoded this often is not a matter of the line. */
const MAX_SPOILED = 3;

/**
 * The backup's side of a session: what the primary says is done to the store, and the store's answer said back. What
 * concerns one volume is done in the order of its arrival; nothing is answered before the store has it. The state
 * between sessions is the store's alone.
 */
export class TargetSession implements Session {
  readonly #options: TargetSessionOptions;
  readonly #incoming = new Map<string, IncomingSet>();
  /** Which volume a parcel on the line belongs to. */
  readonly #parcels = new Map<ParcelId, string>();
  readonly #queues = new Map<string, Promise<void>>();
  readonly #comparisons: ImageComparisons;
  #over = false;

  constructor(options: TargetSessionOptions) {
    this.#options = options;
    this.#comparisons = new ImageComparisons(
      (message) => this.#say(message),
      ({ volume, to }, error) => this.#refuse(volume, to, error),
      (finding) => this.#compared(finding),
    );
  }

  /** Is a compare under way: then the primary may have nothing to say for hours. */
  get isComparing(): boolean {
    return this.#comparisons.areUnderWay;
  }

  handleMessage(bytes: Uint8Array): void {
    let message: Message;
    try {
      message = decodeMessage(bytes);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#options.log.warn('The peer sent a message that breaks the protocol; the call is ended.', {
        err: error,
      });
      this.#options.link.close('failed');
      return;
    }
    switch (message.kind) {
      case 'offer':
        this.#enqueue(message, () => this.#begin(message));
        return;
      case 'announce':
        this.#enqueue(message, () => this.#announce(message));
        return;
      case 'withdraw':
        this.#enqueue(message, () => this.#withdraw(message));
        return;
      case 'commit':
        this.#enqueue(message, () => this.#takeCommit(message));
        return;
      case 'compare':
        this.#comparisons.expect(message);
        this.#enqueue(message, () => this.#compare(message));
        return;
      case 'compare-ask':
      case 'compare-over':
        this.#comparisons.handleMessage(message);
        return;
      case 'copy-status':
      case 'copies-told':
      case 'durable':
      case 'applied':
      case 'refused':
      case 'spoiled':
      case 'base-mismatch':
      case 'suspect':
      case 'compare-root':
      case 'compare-digests':
        // A backup's own words; from a primary they mean nothing.
        return;
      default:
        message satisfies never;
    }
  }

  handleSegment(id: ParcelId, offset: number, bytes: Uint8Array): void {
    const volume = this.#parcels.get(id);
    const incoming = volume === undefined ? undefined : this.#incoming.get(volume);
    if (volume === undefined || incoming === undefined) return;
    const about = { volume, to: incoming.offer.to.id };
    const run = incoming.gathered.add(id, offset, bytes);
    if (run === null) return;
    this.#queue(about, () => {
      incoming.gathered.take(run);
      return this.#keep(incoming, run);
    });
  }

  handleProgress(): void {
    // Only a sender hears of progress.
  }

  handleParcelHeld(): void {
    // Only a sender hears of it.
  }

  handleEnd(): void {
    this.#over = true;
    this.#comparisons.end();
  }

  /** Applies a set that was durable before this session began, and says how that went. */
  finish(volume: string, to: StateId): void {
    this.#enqueue({ volume, to }, async () => {
      await this.#apply(volume, await this.#options.store.volume(volume), to);
    });
  }

  /** Tells the primary that the copy of a volume equals this state, whichever session applied it. */
  sayApplied(volume: string, to: StateId): void {
    this.#say({ kind: 'applied', volume, to });
  }

  /** Resolves when the store has finished what this session began. */
  async settled(): Promise<void> {
    await Promise.all(this.#queues.values());
    await this.#comparisons.settled();
  }

  async #begin(offer: Offer): Promise<void> {
    const store = await this.#options.store.volume(offer.volume);
    if (store.status().state?.id === offer.to.id) {
      if (offer.opening !== undefined) await store.meet(offer.opening);
      this.sayApplied(offer.volume, offer.to.id);
      return;
    }
    this.#options.ledger?.begin(offer.volume);
    const incoming = await IncomingSet.begin(offer, store, this.#incoming.get(offer.volume) ?? null);
    if (offer.opening !== undefined) await store.meet(offer.opening);
    // A set is built on nothing that is distrusted.
    await this.#noteDistrust(offer.volume, store, null);
    this.#forgetParcels(offer.volume);
    this.#incoming.set(offer.volume, incoming);
    // What was said of them was about the earlier state.
    for (const parcel of incoming.lost) {
      this.#say({ kind: 'spoiled', volume: offer.volume, to: offer.to.id, parcel });
    }
  }

  async #announce(message: Announce): Promise<void> {
    const incoming = this.#current(message);
    if (incoming === null) return;
    const held = await incoming.announce(message);
    this.#parcels.set(message.parcel, message.volume);
    this.#options.link.expectParcel(message.parcel, message.length, held);
  }

  async #withdraw(message: Withdraw): Promise<void> {
    const store = this.#current(message)?.store ?? (await this.#options.store.volume(message.volume));
    if (store.status().capture?.offer.to.id !== message.to) return;
    await store.drop();
    this.#leave(message.volume);
  }

  async #keep(incoming: IncomingSet, run: SegmentRun): Promise<void> {
    const { link, ledger } = this.#options;
    // Another has taken its place since the segment came; what is still wanted of it is announced again.
    if (this.#incoming.get(incoming.offer.volume) !== incoming) return;
    const { parcel: id, offset, end } = run;
    const result = await incoming.append(run);
    switch (result.kind) {
      case 'kept':
        ledger?.moved(incoming.offer.volume, end - offset);
        link.kept(id, offset, end);
        await this.#tryCommit(incoming);
        return;
      case 'unfit':
        if (!result.error.unfit.some((parcel) => parcel.id === id)) link.kept(id, offset, end);
        this.#reportUnfit(incoming, result);
        return;
      case 'spoiled':
        this.#reportSpoiled(incoming, result);
        return;
      default:
        result satisfies never;
    }
  }

  #reportUnfit(incoming: IncomingSet, { error }: Unfit): void {
    const { volume, to } = incoming.offer;
    for (const { id, base } of error.unfit) {
      if (incoming.countBad(id) >= MAX_SPOILED) throw error;
      incoming.awaitAgain(id);
      this.#options.link.forgetParcel(id);
      this.#say({ kind: 'base-mismatch', volume, to: to.id, parcel: id, base: coveringRanges(base) });
    }
    this.#options.onTrouble(
      volume,
      `the copy is not what the primary takes it for (${error.message}); the parcel is asked for in full, and a compare`,
    );
  }

  #reportSpoiled(incoming: IncomingSet, { parcels, error }: Spoiled): void {
    const { volume, to } = incoming.offer;
    for (const id of parcels) {
      const times = incoming.countBad(id);
      this.#options.link.forgetParcel(id);
      this.#options.onTrouble(
        volume,
        `a parcel arrived whole but damaged (${error.message}); it is asked for again`,
      );
      if (times >= MAX_SPOILED) throw error;
      this.#say({ kind: 'spoiled', volume, to: to.id, parcel: id });
    }
  }

  async #takeCommit(message: Commit): Promise<void> {
    const incoming = this.#current(message);
    if (incoming === null) return;
    if (incoming.store.status().state?.id === message.to) {
      // An earlier session of the same primary has brought it here meanwhile.
      this.#leave(message.volume);
      this.sayApplied(message.volume, message.to);
      return;
    }
    await incoming.takeCommit(message);
    await this.#tryCommit(incoming);
  }

  /** After what was under way: a set that was durable is applied by then, if it can be. */
  async #compare(request: Compare): Promise<void> {
    const { volume, why } = request;
    const opening = this.#options.store.volume(volume);
    opening.catch(() => this.#comparisons.forget(request));
    const store = await opening;
    await this.#comparisons.begin(request, store);
    if (why === undefined || store.status().distrust?.why === why) return;
    await this.#noteDistrust(volume, store, why);
    this.#options.onDistrust?.(volume, why);
  }

  #compared({ volume, state, within, like, differing }: ImageFinding): void {
    const run = async (): Promise<void> => {
      const store = await this.#options.store.volume(volume);
      await store.compared(like, differing);
      if (differing === 0) await store.trust(state, within);
      if (store.status().distrust != null) this.#options.onCompared?.(volume, differing);
      await this.#noteDistrust(volume, store, null);
    };
    const queued = (this.#queues.get(volume) ?? Promise.resolve()).then(run);
    this.#queues.set(
      volume,
      queued.catch((error: unknown) => this.#notNoted(volume, error)),
    );
  }

  /** It is for people: nothing is refused because the disk does not take it. */
  async #noteDistrust(volume: string, store: VolumeStore, why: string | null): Promise<void> {
    try {
      await store.distrust(why);
    } catch (error) {
      this.#notNoted(volume, error);
    }
  }

  #notNoted(volume: string, error: unknown): void {
    this.#options.log.error(`What was told of volume ${volume} cannot be noted.`, { err: error });
  }

  async #tryCommit(incoming: IncomingSet): Promise<void> {
    const { store, offer } = incoming;
    const result = await incoming.tryCommit((commit) => accountOf(commit, incoming, this.#options.ledger));
    switch (result.kind) {
      case 'waiting':
        return;
      case 'unfit':
        this.#reportUnfit(incoming, result);
        return;
      case 'spoiled':
        this.#reportSpoiled(incoming, result);
        return;
      case 'durable':
        this.#options.ledger?.end(offer.volume);
        this.#say({ kind: 'durable', volume: offer.volume, to: offer.to.id });
        await this.#apply(offer.volume, store, offer.to.id);
        this.#leave(offer.volume);
        return;
      default:
        result satisfies never;
    }
  }

  async #apply(volume: string, store: VolumeStore, to: StateId): Promise<void> {
    try {
      this.#options.onApplied(volume, await store.apply());
    } catch (error) {
      // An earlier session of the same primary may have applied this very set meanwhile.
      if (store.status().state?.id !== to) throw error;
      this.sayApplied(volume, to);
    }
  }

  /** The volume's set is over, for this session. */
  #leave(volume: string): void {
    this.#incoming.delete(volume);
    this.#forgetParcels(volume);
  }

  #forgetParcels(volume: string): void {
    for (const [id, of] of this.#parcels) {
      if (of !== volume) continue;
      this.#parcels.delete(id);
      this.#options.link.forgetParcel(id);
    }
  }

  #current(about: { readonly volume: string; readonly to: StateId }): IncomingSet | null {
    const incoming = this.#incoming.get(about.volume);
    return incoming?.offer.to.id === about.to ? incoming : null;
  }

  #say(message: Message): void {
    if (!this.#over) this.#options.link.sendMessage(encodeMessage(message));
  }

  #enqueue(about: About, work: () => Promise<void>): void {
    // What comes after this is not to be done before it.
    this.#incoming.get(about.volume)?.gathered.close();
    this.#queue(about, work);
  }

  #queue(about: About, work: () => Promise<void>): void {
    const to = typeof about.to === 'string' ? about.to : about.to.id;
    const run = async (): Promise<void> => {
      if (this.#over) return;
      try {
        await work();
      } catch (error) {
        this.#refuse(about.volume, to, error as Error);
      }
    };
    this.#queues.set(about.volume, (this.#queues.get(about.volume) ?? Promise.resolve()).then(run));
  }

  #refuse(volume: string, to: StateId, error: Error): void {
    const incoming = this.#incoming.get(volume);
    this.#leave(volume);
    // An earlier session of the same primary may have been applying this very set meanwhile.
    if (incoming?.store.status().state?.id === to) {
      this.sayApplied(volume, to);
      return;
    }
    this.#options.log.error(`A set of volume ${volume} was refused.`, { err: error });
    this.#options.onTrouble(volume, `refused: ${error.message}`);
    this.#say({ kind: 'refused', volume, to, ...refusalFor(error) });
  }
}
