import { parcelListDigest } from '../messages/parcel-list.js';
import type { CaptureSummary, CopyStatus, Message, Offer, RefusalCode } from '../messages/message.js';
import type { Range } from '../ranges.js';
import type { ByteCount, ParcelId } from '../units.js';
import { heldOf, type HeldParcels, type SetTarget } from './held.js';

/** A spooled parcel as the set knows it. */
export interface SpooledParcel {
  readonly id: ParcelId;
  readonly length: ByteCount;
  readonly digest: Uint8Array;
}

/** What the layer around a transfer is to do next, in this order. */
export type TransferStep =
  | { readonly kind: 'send'; readonly message: Message }
  /** Stream the parcel's bytes but for `held`; ask again with `parcelDone` when the peer holds all of it. */
  | { readonly kind: 'stream'; readonly parcel: SpooledParcel; readonly held: readonly Range[] }
  /** The peer holds something else than the parcel refers to: it leaves the line until `replaceParcel` is called. */
  | { readonly kind: 'mismatch'; readonly parcel: SpooledParcel; readonly base: readonly Range[] }
  | { readonly kind: 'durable' }
  | { readonly kind: 'applied' }
  | { readonly kind: 'refused'; readonly code: RefusalCode; readonly text: string };

/** How many parcels may be streaming at once: the one on the line, and the next so that the line never waits. */
const PARCELS_STREAMING = 2;

/**
 * The primary's side of one change set in one session, as a pure machine. Nothing waits for an answer: the offer, the
 * parcels and the commit go out as soon as they exist, and the backup commits when it has everything the commit
 * names. Parcels may still be added while earlier ones travel. A new session begins with a new `SetTransfer`.
 */
export class SetTransfer {
  readonly #offer: Offer;
  readonly #held: HeldParcels | null;
  readonly #parcels: SpooledParcel[] = [];
  readonly #byId = new Map<ParcelId, SpooledParcel>();
  readonly #done = new Set<ParcelId>();
  /** Handed out to be streamed, and not held yet. */
  readonly #onLine = new Set<ParcelId>();
  /** Being encoded again: neither announced nor streamed. */
  readonly #withheld: Set<ParcelId>;
  readonly #steps: TransferStep[] = [];
  #streamedUpTo = 0;
  #digest: Uint8Array | null = null;
  #phase: 'sending' | 'durable' | 'ended' = 'sending';

  /**
   * `remote` is where the backup's copy stands at the start of the session. `parcels` are those spooled already;
   * `digest` the set's, if it is known that no more will come; `earlier` the targets that the set had before; `withheld`
   * those that are being encoded again.
   */
  constructor(
    offer: Omit<Offer, 'keeps'>,
    remote: CopyStatus,
    parcels: readonly SpooledParcel[],
    digest: Uint8Array | null,
    earlier: readonly SetTarget[] = [],
    withheld: Iterable<ParcelId> = [],
  ) {
    this.#withheld = new Set(withheld);
    const target = { to: offer.to.id, parcels: parcels.map(({ id }) => id) };
    this.#held = heldOf(offer.from, target, earlier, remote.capture);
    const keeps = this.#held?.keeps ?? null;
    this.#offer = keeps === null ? offer : { ...offer, keeps };
    if (this.#held === null && remote.capture?.to === offer.to.id) {
      this.#steps.push({
        kind: 'send',
        message: { kind: 'withdraw', volume: offer.volume, to: offer.to.id },
      });
    }
    this.#steps.push({ kind: 'send', message: this.#offer });
    for (const parcel of parcels) this.addParcel(parcel);
    if (digest !== null) this.finish(digest);
  }

  /** The next parcel of the set, spooled and synced. */
  addParcel(parcel: SpooledParcel): void {
    const index = this.#parcels.push(parcel) - 1;
    this.#byId.set(parcel.id, parcel);
    if (this.#held !== null && index < this.#held.whole) {
      this.#done.add(parcel.id);
      return;
    }
    if (this.#withheld.has(parcel.id)) return;
    const { volume, to } = this.#offer;
    const { id, length, digest } = parcel;
    this.#steps.push({
      kind: 'send',
      message: { kind: 'announce', volume, to: to.id, parcel: id, length, digest },
    });
  }

  /** No more parcels will come; `digest` is the whole set's. */
  finish(digest: Uint8Array): void {
    this.#digest = digest;
    const { volume, from, to } = this.#offer;
    this.#steps.push({
      kind: 'send',
      message: {
        kind: 'commit',
        volume,
        from,
        to: to.id,
        parcels: this.#parcels.length,
        parcelsDigest: parcelListDigest(this.#parcels.map((parcel) => parcel.id)),
        digest,
      },
    });
  }

  /** A withheld parcel has been encoded again. */
  replaceParcel(parcel: SpooledParcel): void {
    if (!this.#withheld.delete(parcel.id)) return;
    this.#parcels[this.#parcels.findIndex(({ id }) => id === parcel.id)] = parcel;
    this.#byId.set(parcel.id, parcel);
    this.#resend(parcel.id);
  }

  /** Is this parcel one of the set. */
  has(id: ParcelId): boolean {
    return this.#byId.has(id);
  }

  /** The peer has reported all of a parcel. */
  parcelDone(id: ParcelId): void {
    this.#done.add(id);
    this.#onLine.delete(id);
  }

  /** A message of the peer about this volume; those about another state are late ones, and ignored. */
  handleMessage(message: Message): void {
    if (!('to' in message) || message.to !== this.#offer.to.id || this.#phase === 'ended') return;
    switch (message.kind) {
      case 'durable':
        this.#becomeDurable();
        return;
      case 'applied':
        this.#becomeDurable();
        this.#phase = 'ended';
        this.#steps.push({ kind: 'applied' });
        return;
      case 'refused':
        this.#phase = 'ended';
        this.#steps.push({ kind: 'refused', code: message.code, text: message.text });
        return;
      case 'spoiled':
        this.#resend(message.parcel);
        return;
      case 'base-mismatch':
        this.#withhold(message.parcel, message.base);
        return;
      default:
        return;
    }
  }

  /** The next thing to do; undefined: nothing until something happens. */
  poll(): TransferStep | undefined {
    const step = this.#steps.shift();
    if (step !== undefined || this.#phase !== 'sending') return step;
    while (this.#streamedUpTo < this.#parcels.length && this.#onLine.size < PARCELS_STREAMING) {
      const parcel = this.#parcels[this.#streamedUpTo++];
      if (parcel === undefined || this.#done.has(parcel.id) || this.#withheld.has(parcel.id)) continue;
      this.#onLine.add(parcel.id);
      const held = this.#held?.partial.find((part) => part.id === parcel.id)?.held ?? [];
      return { kind: 'stream', parcel, held };
    }
    return undefined;
  }

  /** Encoded bytes that the peer holds whole parcels of, and those of all parcels so far. */
  get progress(): { readonly bytesDone: number; readonly bytesKnown: number; readonly complete: boolean } {
    const sum = (parcels: readonly SpooledParcel[]): number =>
      parcels.reduce((total, parcel) => total + parcel.length, 0);
    return {
      bytesDone: sum(this.#parcels.filter((parcel) => this.#done.has(parcel.id))),
      bytesKnown: sum(this.#parcels),
      complete: this.#digest !== null,
    };
  }

  /** Parcels handed out to be streamed that the peer does not hold yet. */
  get onLine(): readonly ParcelId[] {
    return [...this.#onLine];
  }

  /** Parcels that are on the line or waiting for it. */
  get parcelsWaiting(): number {
    return this.#parcels.length - this.#done.size;
  }

  /** What the peer holds, for another transfer of the same set; `partial`: of the parcels in `onLine`. */
  heldSoFar(partial: CaptureSummary['partial']): CaptureSummary {
    const { from, to } = this.#offer;
    const firstMissing = this.#parcels.findIndex(({ id }) => !this.#done.has(id));
    const whole = firstMissing < 0 ? this.#parcels.length : firstMissing;
    const later = this.#parcels.slice(whole).flatMap(({ id, length }) => {
      const held = this.#done.has(id)
        ? [{ start: 0, end: length }]
        : (partial.find((part) => part.id === id)?.held ?? []);
      return held.length === 0 ? [] : [{ id, held }];
    });
    const wholeDigest = parcelListDigest(this.#parcels.slice(0, whole).map(({ id }) => id));
    return { from, to: to.id, durable: false, whole, wholeDigest, partial: later };
  }

  #becomeDurable(): void {
    if (this.#phase !== 'sending') return;
    this.#phase = 'durable';
    this.#steps.push({ kind: 'durable' });
  }

  #withhold(id: ParcelId, base: readonly Range[]): void {
    const parcel = this.#byId.get(id);
    if (parcel === undefined || this.#withheld.has(id)) return;
    this.#withheld.add(id);
    this.#done.delete(id);
    this.#onLine.delete(id);
    this.#steps.push({ kind: 'mismatch', parcel, base });
  }

  #resend(id: ParcelId): void {
    const parcel = this.#byId.get(id);
    if (parcel === undefined || this.#withheld.has(id)) return;
    this.#done.delete(id);
    this.#onLine.add(id);
    const { volume, to } = this.#offer;
    const { length, digest } = parcel;
    this.#steps.push(
      { kind: 'send', message: { kind: 'announce', volume, to: to.id, parcel: id, length, digest } },
      { kind: 'stream', parcel, held: [] },
    );
  }
}
