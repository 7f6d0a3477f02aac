import { join } from 'node:path';
import { idHex, type ParcelId } from '../../protocol/units.js';
import type { Files } from '../platform/files.js';
import { randomId, type Random } from '../platform/random.js';
import {
  decodeCaptureRecord,
  encodeCaptureRecord,
  type CapturePhase,
  type CaptureRecord,
  type CommittedSet,
} from './capture-record.js';
import { CapturedParcels, type ParcelsContext } from './captured-parcels.js';
import { StoreError } from './errors.js';
import type { SetContent } from './set-content.js';
import type {
  CaptureStatus,
  HeldParcel,
  ParcelAnnouncement,
  PointAccount,
  SetOffer,
} from './volume-store.js';

export interface CaptureContext extends ParcelsContext {
  readonly random: Random;
}

/**
 * The capture buffer: one change set on its way in. In its folder `capture.json` decides that the set exists and how
 * far it is; its parcels lie beside it (`CapturedParcels`).
 */
export class Capture {
  readonly #context: CaptureContext;
  readonly #parcels: CapturedParcels;
  #record: CaptureRecord;
  /** A replacement of the record failed half way: the disk may say more than we do. */
  #recordInDoubt = false;

  private constructor(context: CaptureContext, record: CaptureRecord) {
    this.#context = context;
    this.#record = record;
    this.#parcels = new CapturedParcels({
      ...context,
      setId: record.setId,
      offer: () => this.offer,
      prepareLoss: () => this.#prepareChange(),
    });
  }

  /** Starts an empty capture; whatever was left in the folder is gone first. */
  static async create(context: CaptureContext, offer: SetOffer): Promise<Capture> {
    const { files, folder, random } = context;
    await Capture.clear(files, folder);
    await files.makeFolder(folder);
    const record: CaptureRecord = { setId: randomId(random), offer, phase: { kind: 'collecting' } };
    await files.replace(join(folder, 'capture.json'), encodeCaptureRecord(record));
    return new Capture(context, record);
  }

  /** Takes up the capture in a folder; null if there is none. Only what is intact counts as held. */
  static async load(context: CaptureContext): Promise<Capture | null> {
    const path = join(context.folder, 'capture.json');
    if (!(await context.files.exists(path))) {
      await Capture.clear(context.files, context.folder);
      return null;
    }
    const record = decodeCaptureRecord(await context.files.readWhole(path, 1 << 27), path);
    const capture = new Capture(context, record);
    await capture.#parcels.load(capture.phase.kind === 'collecting');
    return capture;
  }

  /** Removes a capture without a trace; the record goes first, so that half a removal is a whole one. */
  static async clear(files: Files, folder: string): Promise<void> {
    const record = join(folder, 'capture.json');
    if (await files.exists(record)) {
      await files.remove(record);
      await files.syncFolder(folder);
    }
    await files.remove(folder);
  }

  get offer(): SetOffer {
    return this.#record.offer;
  }

  get phase(): CapturePhase {
    return this.#record.phase;
  }

  status(): CaptureStatus {
    return {
      offer: this.offer,
      parcels: this.#parcels.held,
      durable: this.phase.kind !== 'collecting',
    };
  }

  parcel(id: ParcelId): HeldParcel | null {
    return this.#parcels.heldOf(id);
  }

  announce(announcement: ParcelAnnouncement): Promise<void> {
    return this.#parcels.announce(announcement);
  }

  async forget(id: ParcelId): Promise<void> {
    if (this.phase.kind === 'collecting') await this.#parcels.forget(id);
  }

  /**
   * From now on the set leads to `offer.to`, with the parcels in `keep` and no others. Killed half way, the others are gone
   * or not, and the set leads where it did.
   */
  async turn(offer: SetOffer, keep: readonly ParcelId[]): Promise<void> {
    await this.#prepareChange();
    await this.#parcels.forgetAllBut(keep);
    await this.#replaceRecord({ ...this.#record, offer });
  }

  append(id: ParcelId, offset: number, parts: readonly Uint8Array[]): Promise<void> {
    return this.#parcels.append(id, offset, parts);
  }

  /** Checks and syncs the set; see `VolumeStore.commit`. */
  async commit(parcels: readonly ParcelId[], digest: Uint8Array, account?: PointAccount): Promise<void> {
    // The last place of a parcel that is named twice is the one that counts.
    const order = [...new Set(parcels.toReversed())].reverse();
    const named: CommittedSet = {
      parcels: order,
      digest: idHex(digest),
      ...(account !== undefined && { account }),
    };
    if (this.phase.kind !== 'collecting') {
      const { parcels: done, digest: doneDigest } = this.phase;
      if (doneDigest === named.digest && done.join() === order.join()) return;
      throw new StoreError('digest-mismatch', 'another COMMIT of this set was accepted before');
    }
    await this.#parcels.complete(order);
    await this.#parcels.forgetAllBut(order);
    const content = await this.#parcels.content(order);
    try {
      if (idHex(await content.digest()) !== named.digest) {
        throw new StoreError('digest-mismatch', 'the parcels held do not make the set that COMMIT names');
      }
    } finally {
      await content.close();
    }
    await this.#setPhase({ kind: 'durable', ...named });
  }

  /** The phase mark; from here the image is only written forward. */
  async markOverwriting(increment: string | null): Promise<void> {
    const { parcels, digest, account } = this.#committed();
    const kept = account === undefined ? {} : { account };
    await this.#setPhase({ kind: 'overwriting', increment, parcels, digest, ...kept });
  }

  /** Of the committed set; undefined: none was told. */
  get account(): PointAccount | undefined {
    return this.#committed().account;
  }

  /** The content of the committed set; the caller closes it. */
  content(): Promise<SetContent> {
    return this.#parcels.content(this.#committed().parcels);
  }

  /** Removes the capture and all it holds. */
  async remove(): Promise<void> {
    await this.close();
    await Capture.clear(this.#context.files, this.#context.folder);
  }

  async close(): Promise<void> {
    await this.#parcels.close();
  }

  #committed(): CommittedSet {
    if (this.phase.kind === 'collecting') throw new StoreError('no-capture', 'the set is not committed');
    return this.phase;
  }

  /** Only a collecting capture takes anything new, and only after the disk says so too. */
  async #prepareChange(): Promise<void> {
    if (this.phase.kind !== 'collecting') throw new StoreError('no-capture', 'the set is already committed');
    if (this.#recordInDoubt) await this.#setPhase(this.phase);
  }

  #setPhase(phase: CapturePhase): Promise<void> {
    return this.#replaceRecord({ ...this.#record, phase });
  }

  async #replaceRecord(record: CaptureRecord): Promise<void> {
    this.#recordInDoubt = true;
    await this.#context.files.replace(
      join(this.#context.folder, 'capture.json'),
      encodeCaptureRecord(record),
    );
    this.#recordInDoubt = false;
    this.#record = record;
  }
}
