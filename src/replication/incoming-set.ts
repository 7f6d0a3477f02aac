import type { Announce, Commit, KeptCapture, Offer } from '../../protocol/messages/message.js';
import { parcelListDigest } from '../../protocol/messages/parcel-list.js';
import type { Range } from '../../protocol/ranges.js';
import type { ParcelId } from '../../protocol/units.js';
import { ReferenceMismatch, StoreError } from '../store/errors.js';
import type { HeldParcel, PointAccount, VolumeStore } from '../store/volume-store.js';
import { GatheredSegments, type SegmentRun } from './gathered-segments.js';

/** Parcels refer to something that is not as the primary believes; the store has dropped their bytes. */
export interface Unfit {
  readonly kind: 'unfit';
  readonly error: ReferenceMismatch;
}

/** These parcels' bytes were dropped: they came whole and could not be made out. */
export interface Spoiled {
  readonly kind: 'spoiled';
  readonly parcels: readonly ParcelId[];
  readonly error: StoreError;
}

/** What became of segments. */
export type Kept = { readonly kind: 'kept' } | Unfit | Spoiled;

/** What became of a commit; `waiting`: for parcels that it names, or for itself. */
export type Committed = { readonly kind: 'durable' } | { readonly kind: 'waiting' } | Unfit | Spoiled;

/**
 * One volume's set as a session brings it: the parcels that it is made of, in their order, and what is missing of them. A
 * set is committed when nothing is missing, and only if its parcels are those that the primary means.
 */
export class IncomingSet {
  readonly store: VolumeStore;
  readonly offer: Offer;
  /** Segments whose turn at the store has not come. */
  readonly gathered = new GatheredSegments();
  /** In the order in which they were first announced; those of earlier sessions come first. */
  readonly #order: Set<ParcelId>;
  /** Announced in this session: all that the set needs and that were not held whole when it began. */
  readonly #announced = new Set<ParcelId>();
  /** Those of `#order` that are not held whole. */
  readonly #missing = new Set<ParcelId>();
  readonly #timesBad = new Map<ParcelId, number>();
  #commit: Commit | null = null;

  /**
   * Begins the offered set in the store, goes on with it, or turns the one that is held to it; `before` is what this session
   * has of the volume already. Fails with `digest-mismatch` when the primary takes something else to be held, else as the
   * store does.
   */
  static async begin(offer: Offer, store: VolumeStore, before: IncomingSet | null): Promise<IncomingSet> {
    const { volumeId, blockSize, from, to } = offer;
    const kept = offer.keeps === undefined ? null : keptOf(offer, offer.keeps, store, before);
    if (kept === null) await store.begin({ volumeId, blockSize, from, to });
    else await store.turn({ volumeId, blockSize, from, to }, kept);
    return new IncomingSet(store, offer, kept ?? heldIds(store));
  }

  private constructor(store: VolumeStore, offer: Offer, order: readonly ParcelId[]) {
    this.store = store;
    this.offer = offer;
    this.#order = new Set(order);
    this.#lookAgain();
    // The primary is told of them, and announces them again, maybe behind its commit.
    for (const id of this.lost) this.#announced.add(id);
  }

  get order(): readonly ParcelId[] {
    return [...this.#order];
  }

  /** Parcels that the primary counts on and that are not held whole after all. */
  get lost(): readonly ParcelId[] {
    return this.order.slice(0, this.offer.keeps?.whole ?? 0).filter((id) => this.#missing.has(id));
  }

  /** Makes a parcel of the set known; returns what is held of it. */
  async announce({ parcel: id, length, digest }: Announce): Promise<readonly Range[]> {
    await this.store.announce({ id, length, digest });
    const parcel = this.store.parcel(id);
    this.#order.add(id);
    this.#announced.add(id);
    if (!isWhole(parcel)) this.#missing.add(id);
    return parcel?.held ?? [];
  }

  async append({ parcel: id, offset, parts }: SegmentRun): Promise<Kept> {
    try {
      await this.store.append(id, offset, ...parts);
    } catch (error) {
      // The parcel was dropped, and maybe others that refer to it.
      this.#lookAgain();
      if (error instanceof ReferenceMismatch) return { kind: 'unfit', error };
      if (!(error instanceof StoreError) || error.code !== 'bad-parcel') throw error;
      return { kind: 'spoiled', parcels: [id], error };
    }
    if (isWhole(this.store.parcel(id))) this.#missing.delete(id);
    return { kind: 'kept' };
  }

  /**
   * The set is to be committed when nothing is missing. Of an earlier attempt at the same set: what is neither whole nor
   * announced again by now will never be, and is forgotten.
   */
  async takeCommit(commit: Commit): Promise<void> {
    this.#commit = commit;
    for (const id of [...this.#missing]) {
      if (this.#announced.has(id)) continue;
      await this.store.forget(id);
      this.#order.delete(id);
      this.#missing.delete(id);
    }
  }

  /** Commits once every parcel that the commit names is held whole; until then the segments decide. */
  async tryCommit(account: (commit: Commit) => PointAccount): Promise<Committed> {
    const commit = this.#commit;
    if (commit === null || this.#missing.size > 0) return { kind: 'waiting' };
    const { order } = this;
    if (
      order.length !== commit.parcels ||
      Buffer.compare(parcelListDigest(order), commit.parcelsDigest) !== 0
    ) {
      throw new StoreError('digest-mismatch', 'the parcels held are not those of the commit');
    }
    try {
      await this.store.commit(order, commit.digest, account(commit));
      return { kind: 'durable' };
    } catch (error) {
      if (error instanceof ReferenceMismatch) {
        this.#lookAgain();
        return { kind: 'unfit', error };
      }
      if (!(error instanceof StoreError) || error.code !== 'incomplete-capture') throw error;
      this.#lookAgain();
      if (this.#missing.size === 0) throw error;
      return { kind: 'spoiled', parcels: [...this.#missing], error };
    }
  }

  /** A parcel could not be made out once more; returns how often by now. */
  countBad(id: ParcelId): number {
    const times = (this.#timesBad.get(id) ?? 0) + 1;
    this.#timesBad.set(id, times);
    return times;
  }

  /** A parcel that may be held from an earlier session will be announced again. */
  awaitAgain(id: ParcelId): void {
    this.#announced.add(id);
  }

  /** Finds out again what is not held whole. */
  #lookAgain(): void {
    for (const id of this.#order) {
      if (isWhole(this.store.parcel(id))) this.#missing.delete(id);
      else this.#missing.add(id);
    }
  }
}

/**
 * The parcels that an offer of a set turned to a newer state keeps, in their order; null: nothing is held of an earlier
 * one, and it begins anew.
 */
function keptOf(
  offer: Offer,
  keeps: KeptCapture,
  store: VolumeStore,
  before: IncomingSet | null,
): readonly ParcelId[] | null {
  const capture = store.status().capture;
  if (capture?.durable === true) return null;
  const to = capture?.offer.to.id;
  const order = before !== null && before.offer.to.id === to ? before.order : heldIds(store);
  const whole = order.slice(0, keeps.whole);
  const isAsToldOf =
    (to === keeps.to || to === offer.to.id) &&
    whole.length === keeps.whole &&
    Buffer.compare(parcelListDigest(whole), keeps.wholeDigest) === 0;
  if (!isAsToldOf)
    throw new StoreError('digest-mismatch', 'what is held of the set is not what is to be kept');
  return [...whole, ...keeps.partial.filter((id) => order.includes(id))];
}

const heldIds = (store: VolumeStore): readonly ParcelId[] =>
  store.status().capture?.parcels.map(({ id }) => id) ?? [];

const isWhole = (parcel: HeldParcel | null): boolean =>
  parcel?.held.length === 1 && parcel.held[0]?.start === 0 && parcel.held[0].end === parcel.length;
