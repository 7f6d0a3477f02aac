import { decodeMessage, encodeMessage } from '../../protocol/messages/codec.js';
import type {
  Announce,
  Commit,
  Compare,
  CompareAsk,
  CompareOver,
  KeptCapture,
  Message,
  Offer,
  RefusalCode,
  Withdraw,
} from '../../protocol/messages/message.js';
import { MAX_MISMATCH_RANGES } from '../../protocol/messages/limits.js';
import { parcelListDigest } from '../../protocol/messages/parcel-list.js';
import { ProtocolError } from '../../protocol/errors.js';
import type { BlockSpan } from '../../protocol/parcel/delta-layout.js';
import type { Range } from '../../protocol/ranges.js';
import type { ParcelId, StateId } from '../../protocol/units.js';
import type { Log } from '../platform/log.js';
import { ReferenceMismatch, StoreError, type StoreErrorCode } from '../store/errors.js';
import type { HeldParcel, PointAccount, RestorePoint, VolumeStore } from '../store/volume-store.js';
import type { Session, SessionLink } from './call.js';
import { ImageComparison } from './compare-target.js';
import type { SetLedger } from './set-ledger.js';

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
  /** Keeps what sets cost; left out: nobody asks. */
  readonly ledger?: SetLedger;
}

/** One volume's set in this session. */
interface Incoming {
  readonly store: VolumeStore;
  readonly offer: Offer;
  /** The set's parcels in the order in which they were first announced; those of earlier sessions come first. */
  readonly order: Set<ParcelId>;
  /** Parcels announced in this session: all that the set needs and that were not held whole when it began. */
  readonly announced: Set<ParcelId>;
  /** Those of `order` that are not held whole. */
  readonly missing: Set<ParcelId>;
  commit: Commit | null;
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
  readonly #incoming = new Map<string, Incoming>();
  /** Which volume a parcel on the line belongs to. */
  readonly #parcels = new Map<ParcelId, string>();
  readonly #spoiled = new Map<ParcelId, number>();
  readonly #queues = new Map<string, Promise<void>>();
  /** One of each volume at a time. */
  readonly #comparisons = new Map<string, ImageComparison>();
  readonly #endings = new Set<Promise<void>>();
  #over = false;

  constructor(options: TargetSessionOptions) {
    this.#options = options;
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
        this.#enqueue(message, () => this.#compare(message));
        return;
      case 'compare-ask':
        this.#comparisonAbout(message)?.answer(message);
        return;
      case 'compare-over':
        if (this.#comparisonAbout(message) !== undefined) this.#endComparison(message.volume);
        return;
      case 'copy-status':
      case 'copies-told':
      case 'durable':
      case 'applied':
      case 'refused':
      case 'spoiled':
      case 'base-mismatch':
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
    this.#enqueue(about, () => this.#keep(incoming, id, offset, bytes));
  }

  handleProgress(): void {
    // Only a sender hears of progress.
  }

  handleParcelHeld(): void {
    // Only a sender hears of it.
  }

  handleEnd(): void {
    this.#over = true;
    for (const volume of [...this.#comparisons.keys()]) this.#endComparison(volume);
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
    await Promise.all(this.#endings);
  }

  async #begin(offer: Offer): Promise<void> {
    const store = await this.#options.store.volume(offer.volume);
    if (store.status().state?.id === offer.to.id) {
      if (offer.opening !== undefined) await store.meet(offer.opening);
      this.sayApplied(offer.volume, offer.to.id);
      return;
    }
    const set = {
      volumeId: offer.volumeId,
      blockSize: offer.blockSize,
      from: offer.from,
      to: offer.to,
    };
    const kept = offer.keeps === undefined ? null : this.#keptOf(offer, offer.keeps, store);
    this.#options.ledger?.begin(offer.volume);
    if (kept === null) await store.begin(set);
    else await store.turn(set, kept);
    if (offer.opening !== undefined) await store.meet(offer.opening);
    const order = new Set(kept ?? store.status().capture?.parcels.map(({ id }) => id));
    const missing = new Set([...order].filter((id) => !isWhole(store.parcel(id))));
    this.#forgetParcels(offer.volume);
    this.#incoming.set(offer.volume, { store, offer, order, announced: new Set(), missing, commit: null });
    // The primary counts on those, and what was said of them was about the earlier state.
    for (const parcel of [...order].slice(0, offer.keeps?.whole ?? 0)) {
      if (missing.has(parcel)) this.#say({ kind: 'spoiled', volume: offer.volume, to: offer.to.id, parcel });
    }
  }

  /**
   * The parcels that an offer of a set turned to a newer state keeps, in their order; null: nothing is held of an earlier
   * one, and it begins anew. Fails with `digest-mismatch` when the primary takes something else to be held.
   */
  #keptOf(offer: Offer, keeps: KeptCapture, store: VolumeStore): readonly ParcelId[] | null {
    const capture = store.status().capture;
    if (capture?.durable === true) return null;
    const to = capture?.offer.to.id;
    const incoming = this.#incoming.get(offer.volume);
    const order =
      incoming?.offer.to.id === to
        ? [...(incoming?.order ?? [])]
        : (capture?.parcels.map(({ id }) => id) ?? []);
    const whole = order.slice(0, keeps.whole);
    const isAsToldOf =
      (to === keeps.to || to === offer.to.id) &&
      whole.length === keeps.whole &&
      Buffer.compare(parcelListDigest(whole), keeps.wholeDigest) === 0;
    if (!isAsToldOf)
      throw new StoreError('digest-mismatch', 'what is held of the set is not what is to be kept');
    return [...whole, ...keeps.partial.filter((id) => order.includes(id))];
  }

  async #announce(message: Announce): Promise<void> {
    const incoming = this.#current(message);
    if (incoming === null) return;
    await incoming.store.announce({ id: message.parcel, length: message.length, digest: message.digest });
    const parcel = incoming.store.parcel(message.parcel);
    incoming.order.add(message.parcel);
    incoming.announced.add(message.parcel);
    if (!isWhole(parcel)) incoming.missing.add(message.parcel);
    this.#parcels.set(message.parcel, message.volume);
    this.#options.link.expectParcel(message.parcel, message.length, parcel?.held ?? []);
  }

  async #withdraw(message: Withdraw): Promise<void> {
    const store = this.#current(message)?.store ?? (await this.#options.store.volume(message.volume));
    if (store.status().capture?.offer.to.id !== message.to) return;
    await store.drop();
    this.#leave(message.volume);
  }

  async #keep(incoming: Incoming, id: ParcelId, offset: number, bytes: Uint8Array): Promise<void> {
    try {
      await incoming.store.append(id, offset, bytes);
    } catch (error) {
      // The parcel was dropped, and maybe others that refer to it.
      lookAgain(incoming);
      if (error instanceof ReferenceMismatch) {
        if (!error.unfit.some((parcel) => parcel.id === id))
          this.#options.link.kept(id, offset, offset + bytes.byteLength);
        this.#reportUnfit(incoming, error);
        return;
      }
      if (!(error instanceof StoreError) || error.code !== 'bad-parcel') throw error;
      this.#reportSpoiled(incoming, id, error);
      return;
    }
    if (isWhole(incoming.store.parcel(id))) incoming.missing.delete(id);
    this.#options.ledger?.moved(incoming.offer.volume, bytes.byteLength);
    this.#options.link.kept(id, offset, offset + bytes.byteLength);
    await this.#tryCommit(incoming);
  }

  /** Parcels refer to something that is not as the primary believes. */
  #reportUnfit(incoming: Incoming, error: ReferenceMismatch): void {
    const { volume, to } = incoming.offer;
    for (const { id, base } of error.unfit) {
      const times = (this.#spoiled.get(id) ?? 0) + 1;
      this.#spoiled.set(id, times);
      if (times >= MAX_SPOILED) throw error;
      // It may be held from an earlier session, and will be announced again.
      incoming.announced.add(id);
      this.#options.link.forgetParcel(id);
      this.#say({ kind: 'base-mismatch', volume, to: to.id, parcel: id, base: coveringRanges(base) });
    }
    this.#options.onTrouble(
      volume,
      `the copy is not what the primary takes it for (${error.message}); the parcel is asked for in full, and a compare`,
    );
  }

  #reportSpoiled(incoming: Incoming, id: ParcelId, error: StoreError): void {
    const times = (this.#spoiled.get(id) ?? 0) + 1;
    this.#spoiled.set(id, times);
    this.#options.link.forgetParcel(id);
    const { volume, to } = incoming.offer;
    this.#options.onTrouble(
      volume,
      `a parcel arrived whole but damaged (${error.message}); it is asked for again`,
    );
    if (times >= MAX_SPOILED) throw error;
    this.#say({ kind: 'spoiled', volume, to: to.id, parcel: id });
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
    incoming.commit = message;
    await this.#forgetStrays(incoming);
    await this.#tryCommit(incoming);
  }

  /** After what was under way: a set that was durable is applied by then, if it can be. */
  async #compare(request: Compare): Promise<void> {
    const store = await this.#options.store.volume(request.volume);
    this.#endComparison(request.volume);
    const comparison = await ImageComparison.begin(
      request,
      store,
      (message) => this.#say(message),
      (error) => this.#refuse(request.volume, request.to, error),
    );
    this.#comparisons.set(request.volume, comparison);
    if (this.#over) this.#endComparison(request.volume);
  }

  #comparisonAbout(message: CompareAsk | CompareOver): ImageComparison | undefined {
    const comparison = this.#comparisons.get(message.volume);
    return comparison?.isAbout(message) === true ? comparison : undefined;
  }

  #endComparison(volume: string): void {
    const ending = this.#comparisons.get(volume)?.close();
    this.#comparisons.delete(volume);
    if (ending === undefined) return;
    this.#endings.add(ending);
    void ending.catch(() => undefined).finally(() => this.#endings.delete(ending));
  }

  /** Of an earlier attempt at the same set: what is neither whole nor announced again by now will never be. */
  async #forgetStrays({ store, order, announced, missing }: Incoming): Promise<void> {
    for (const id of [...missing]) {
      if (announced.has(id)) continue;
      await store.forget(id);
      order.delete(id);
      missing.delete(id);
    }
  }

  /** Commits once every parcel that the commit names is held whole; until then the segments decide. */
  async #tryCommit(incoming: Incoming): Promise<void> {
    const { store, offer, missing, commit } = incoming;
    if (commit === null || missing.size > 0) return;
    const order = [...incoming.order];
    if (
      order.length !== commit.parcels ||
      Buffer.compare(parcelListDigest(order), commit.parcelsDigest) !== 0
    ) {
      throw new StoreError('digest-mismatch', 'the parcels held are not those of the commit');
    }
    try {
      await store.commit(order, commit.digest, this.#accountOf(commit));
    } catch (error) {
      if (error instanceof ReferenceMismatch) {
        lookAgain(incoming);
        this.#reportUnfit(incoming, error);
        return;
      }
      if (!(error instanceof StoreError) || error.code !== 'incomplete-capture') throw error;
      lookAgain(incoming);
      if (missing.size === 0) throw error;
      for (const id of missing) this.#reportSpoiled(incoming, id, error);
      return;
    }
    this.#options.ledger?.end(offer.volume);
    this.#say({ kind: 'durable', volume: offer.volume, to: offer.to.id });
    await this.#apply(offer.volume, store, offer.to.id);
    this.#leave(offer.volume);
  }

  #accountOf({ volume, account }: Commit): PointAccount {
    return {
      written: account?.written ?? null,
      byPrimary: account?.line ?? null,
      byBackup: this.#options.ledger?.account(volume) ?? null,
    };
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
      this.#spoiled.delete(id);
      this.#options.link.forgetParcel(id);
    }
  }

  #current(about: { readonly volume: string; readonly to: StateId }): Incoming | null {
    const incoming = this.#incoming.get(about.volume);
    return incoming?.offer.to.id === about.to ? incoming : null;
  }

  #say(message: Message): void {
    if (!this.#over) this.#options.link.sendMessage(encodeMessage(message));
  }

  #enqueue(
    about: { readonly volume: string; readonly to: StateId | { readonly id: StateId } },
    work: () => Promise<void>,
  ): void {
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
    const known = error instanceof StoreError ? REFUSALS[error.code] : undefined;
    const hint = error instanceof StoreError && error.hint !== undefined ? `; ${error.hint}` : '';
    this.#options.log.error(`A set of volume ${volume} was refused.`, { err: error });
    this.#options.onTrouble(volume, `refused: ${error.message}`);
    this.#say({ kind: 'refused', volume, to, code: known ?? 'failed', text: `${error.message}${hint}` });
  }
}

/** Spans as no more ranges than a message takes: where there are more, neighbours are told as one. */
function coveringRanges(spans: readonly BlockSpan[]): Range[] {
  const together = Math.ceil(spans.length / MAX_MISMATCH_RANGES);
  const ranges: Range[] = [];
  for (let i = 0; i < spans.length; i += together) {
    const first = spans[i];
    const last = spans[Math.min(i + together, spans.length) - 1];
    if (first !== undefined && last !== undefined)
      ranges.push({ start: first.start, end: last.start + last.count });
  }
  return ranges;
}

/** Finds out again what is not held whole. */
function lookAgain({ store, order, missing }: Incoming): void {
  for (const id of order) {
    if (isWhole(store.parcel(id))) missing.delete(id);
    else missing.add(id);
  }
}

const isWhole = (parcel: HeldParcel | null): boolean =>
  parcel?.held.length === 1 && parcel.held[0]?.start === 0 && parcel.held[0].end === parcel.length;

const REFUSALS: Readonly<Partial<Record<StoreErrorCode, RefusalCode>>> = {
  'other-volume': 'other-volume',
  'base-mismatch': 'base-mismatch',
  'geometry-mismatch': 'geometry-mismatch',
  'digest-mismatch': 'digest-mismatch',
  'bad-parcel': 'digest-mismatch',
  'no-space': 'no-space',
};
