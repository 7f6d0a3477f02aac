import { join } from 'node:path';
import { MAX_PARCEL_ENCODED, type AsyncDecompressor } from '../../protocol/parcel/parcel.js';
import { RangeSet } from '../../protocol/ranges.js';
import type { StateInfo } from '../../protocol/state.js';
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
import { decodeArrived, placeInImage } from './arrived-parcel.js';
import { CaptureReferences } from './capture-references.js';
import { ReferenceMismatch, StoreError, type UnfitParcel } from './errors.js';
import type { Image } from './image.js';
import { ParcelFile, writeParcelFile } from './parcel-file.js';
import type { RunTable } from './run-table.js';
import { SegmentLog } from './segment-log.js';
import { SetContent } from './set-content.js';
import type {
  CaptureStatus,
  HeldParcel,
  ParcelAnnouncement,
  PointAccount,
  SetOffer,
} from './volume-store.js';

/** The most parcels a set may have: 16 TiB in parcels of 16 MiB. */
export const MAX_PARCELS = 1 << 20;

/** What a capture works with; `folder` is the capture's own. */
export interface CaptureContext {
  readonly files: Files;
  readonly folder: string;
  readonly image: Image;
  /** The state that the image equals now; null: none. */
  readonly base: () => StateInfo | null;
  readonly random: Random;
  readonly decompressor: AsyncDecompressor;
}

type CapturedParcel =
  | { readonly kind: 'arriving'; readonly announcement: ParcelAnnouncement; readonly log: SegmentLog }
  | { readonly kind: 'decoded'; readonly announcement: ParcelAnnouncement; readonly placed: boolean };

/**
 * The capture buffer: one change set on its way in. In its folder `capture.json` decides that the set exists and how
 * far it is; each parcel is either `<id>.segments` (arriving) or `<id>.parcel` (decoded, checked and synced).
 *
 * The parcels of a first copy are put into the image as they become whole, as long as they do not overlap, so that a
 * first copy needs its space once; `<id>.parcel` then keeps their tables and digests only. What lies in the image
 * outside the parcels of the committed set (of one that was forgotten, or interrupted) is cleared by the apply.
 *
 * A delta is decoded against the image, which is the base state's as long as the set is collecting, and against the
 * decoded parcels it names; while one of those is on its way, it waits beside it, whole and undecoded.
 */
export class Capture {
  readonly #context: CaptureContext;
  readonly #parcels = new Map<ParcelId, CapturedParcel>();
  readonly #references: CaptureReferences;
  /** Blocks of the image that placed parcels own. */
  readonly #placed = new RangeSet();
  #record: CaptureRecord;
  /** A replacement of the record failed half way: the disk may say more than we do. */
  #recordInDoubt = false;
  #nextSequence = 0;

  private constructor(context: CaptureContext, record: CaptureRecord) {
    this.#context = context;
    this.#record = record;
    this.#references = new CaptureReferences({
      ...context,
      from: record.offer.from,
      kindOf: (id) => this.#parcels.get(id)?.kind,
      pathOf: (id) => this.#path(id, 'parcel'),
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
    await capture.#loadParcels();
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
      parcels: [...this.#parcels.values()].map(heldParcel),
      durable: this.phase.kind !== 'collecting',
    };
  }

  parcel(id: ParcelId): HeldParcel | null {
    const parcel = this.#parcels.get(id);
    return parcel === undefined ? null : heldParcel(parcel);
  }

  async announce(announcement: ParcelAnnouncement): Promise<void> {
    const { id, length, digest } = announcement;
    const parcel = this.#parcels.get(id);
    const isReplaceable = parcel?.kind === 'arriving' && parcel.log.held.ranges.length === 0;
    if (parcel !== undefined) {
      const known = parcel.announcement;
      if (known.length === length && Buffer.compare(known.digest, digest) === 0) return;
      if (!isReplaceable)
        throw new StoreError('bad-parcel', `parcel ${id} was announced before with other content`);
    }
    if (length === 0 || length > MAX_PARCEL_ENCODED || digest.byteLength !== 32) {
      throw new StoreError('bad-parcel', `parcel ${id} is announced with ${length} bytes`);
    }
    if (this.#parcels.size >= MAX_PARCELS) {
      throw new StoreError('bad-parcel', `more than ${MAX_PARCELS} parcels in a set`);
    }
    await this.#prepareChange();
    const kept: ParcelAnnouncement = { id, length, digest: Uint8Array.from(digest) };
    if (isReplaceable) await parcel.log.close();
    await this.#startLog(kept, isReplaceable ? parcel.log.sequence : this.#nextSequence++, isReplaceable);
  }

  async #startLog(announcement: ParcelAnnouncement, sequence: number, isAnew: boolean): Promise<void> {
    const { files } = this.#context;
    const path = this.#path(announcement.id, 'segments');
    const log = await SegmentLog.create(files, path, this.#record.setId, announcement, sequence, isAnew);
    this.#parcels.set(announcement.id, { kind: 'arriving', announcement, log });
  }

  async forget(id: ParcelId): Promise<void> {
    const parcel = this.#parcels.get(id);
    if (parcel === undefined || this.phase.kind !== 'collecting') return;
    await this.#prepareChange();
    if (parcel.kind === 'arriving') {
      await parcel.log.close();
    } else if (parcel.placed) {
      const file = await ParcelFile.open(this.#context.files, this.#path(id, 'parcel'));
      await file.close();
      eachRun(file.table, (start, end) => this.#placed.remove(start, end));
    }
    this.#parcels.delete(id);
    this.#references.forget(id);
    await this.#context.files.remove(this.#path(id, 'parcel'));
    await this.#context.files.remove(this.#path(id, 'segments'));
    // Else a power cut brings a forgotten parcel back, beside one that took its place in the image.
    await this.#context.files.syncFolder(this.#context.folder);
  }

  /**
   * From now on the set leads to `offer.to`, with the parcels in `keep` and no others. Killed half way, the others are gone
   * or not, and the set leads where it did.
   */
  async turn(offer: SetOffer, keep: readonly ParcelId[]): Promise<void> {
    await this.#prepareChange();
    const kept = new Set(keep);
    for (const id of [...this.#parcels.keys()]) if (!kept.has(id)) await this.forget(id);
    await this.#replaceRecord({ ...this.#record, offer });
  }

  async append(id: ParcelId, offset: number, bytes: Uint8Array): Promise<void> {
    const parcel = this.#parcels.get(id);
    if (parcel === undefined) throw new StoreError('no-capture', `parcel ${id} was not announced`);
    if (parcel.kind === 'decoded') return;
    const end = offset + bytes.byteLength;
    if (!Number.isSafeInteger(offset) || offset < 0 || end > parcel.announcement.length) {
      await this.forget(id);
      throw new StoreError('bad-parcel', `parcel ${id} has no bytes ${offset} to ${end}`);
    }
    await this.#prepareChange();
    await parcel.log.append(offset, bytes);
    if (!parcel.log.isWhole) return;
    const unfitParcels = await this.#completeFrom(id);
    if (unfitParcels.length > 0) throw mismatch(unfitParcels);
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
    // The decoding of some failed for want of space or the like, after their last segments had been kept.
    const unfitParcels = await this.#completeWhole();
    if (unfitParcels.length > 0) throw mismatch(unfitParcels);
    const missing = order.filter((id) => this.#parcels.get(id)?.kind !== 'decoded');
    if (missing.length > 0) {
      throw new StoreError(
        'incomplete-capture',
        `${missing.length} parcels are not whole: ${missing.slice(0, 3).join(', ')}`,
      );
    }
    await this.#verify(order);
    const wanted = new Set(order);
    for (const id of [...this.#parcels.keys()]) if (!wanted.has(id)) await this.forget(id);

    const content = await this.#content(order);
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
    return this.#content(this.#committed().parcels);
  }

  /** Removes the capture and all it holds. */
  async remove(): Promise<void> {
    await this.close();
    await Capture.clear(this.#context.files, this.#context.folder);
  }

  async close(): Promise<void> {
    for (const parcel of this.#parcels.values()) if (parcel.kind === 'arriving') await parcel.log.close();
    this.#parcels.clear();
  }

  /** Decodes a parcel that is whole, and those that have waited for it. */
  async #completeFrom(id: ParcelId): Promise<readonly UnfitParcel[]> {
    const unfitParcels: UnfitParcel[] = [];
    for (let next: ParcelId | undefined = id; next !== undefined; next = this.#references.nextReady()) {
      unfitParcels.push(...(await this.#completeOne(next, id)));
    }
    return unfitParcels;
  }

  /** Decodes whatever is whole, in the order of announcement, which is that of references. */
  async #completeWhole(): Promise<readonly UnfitParcel[]> {
    const unfitParcels: UnfitParcel[] = [];
    for (const [id, parcel] of [...this.#parcels]) {
      if (parcel.kind === 'arriving' && parcel.log.isWhole)
        unfitParcels.push(...(await this.#completeFrom(id)));
    }
    return unfitParcels;
  }

  /** `trigger`: whose bytes have just come; only its own damage is thrown. */
  async #completeOne(id: ParcelId, trigger: ParcelId): Promise<readonly UnfitParcel[]> {
    this.#references.forget(id);
    const parcel = this.#parcels.get(id);
    if (parcel?.kind !== 'arriving') return [];
    try {
      await this.#complete(parcel.announcement, parcel.log);
      return [];
    } catch (cause) {
      const isUnfit = cause instanceof ReferenceMismatch;
      const isBad = cause instanceof StoreError && cause.code === 'bad-parcel';
      if (!isUnfit && !isBad) throw cause;
      await this.#restart(parcel.announcement, parcel.log);
      if (isBad && id === trigger) throw cause;
      return isUnfit ? cause.unfit : [{ id, base: [] }];
    }
  }

  /** Drops the bytes of a parcel, surely; it stays announced, in its place. */
  async #restart(announcement: ParcelAnnouncement, log: SegmentLog): Promise<void> {
    await this.#prepareChange();
    await log.close();
    await this.#startLog(announcement, log.sequence, true);
  }

  /** Decodes a whole parcel, unless it has to wait for another. */
  async #complete(announcement: ParcelAnnouncement, log: SegmentLog): Promise<void> {
    const { files, decompressor } = this.#context;
    const { id } = announcement;
    const { blockSize } = this.offer;
    const decoded = await decodeArrived(await log.assemble(), announcement, this.offer, {
      decompressor,
      references: (needs) => this.#references.read(id, needs),
    });
    if (decoded === null) return;
    const placed = this.offer.from === null && !this.#overlapsPlaced(decoded.table);
    if (placed) await placeInImage(decoded, this.#context.image, blockSize);
    const head = { announcement, sequence: log.sequence, setId: this.#record.setId, blockSize, placed };
    await writeParcelFile(files, this.#path(id, 'parcel'), head, decoded);
    if (placed) eachRun(decoded.table, (start, end) => this.#placed.add(start, end));
    this.#parcels.set(id, { kind: 'decoded', announcement, placed });
    await log.close();
    await files.remove(this.#path(id, 'segments'));
  }

  #overlapsPlaced(table: RunTable): boolean {
    let overlaps = false;
    eachRun(table, (start, end) => (overlaps ||= this.#placed.intersects(start, end)));
    return overlaps;
  }

  /** Reads the decoded parcels again; one that has gone bad since is dropped, to be sent again. */
  async #verify(order: readonly ParcelId[]): Promise<void> {
    for (const id of order) {
      try {
        const file = await ParcelFile.open(this.#context.files, this.#path(id, 'parcel'));
        try {
          await file.verify();
        } finally {
          await file.close();
        }
      } catch (cause) {
        if (!(cause instanceof StoreError) || cause.code !== 'damaged') throw cause;
        await this.#discard(id);
        throw new StoreError('incomplete-capture', `parcel ${id} has gone bad on the disk`, undefined, {
          cause,
        });
      }
    }
  }

  async #discard(id: ParcelId): Promise<void> {
    this.#parcels.delete(id);
    this.#references.forget(id);
    await this.#context.files.remove(this.#path(id, 'parcel'));
    await this.#context.files.remove(this.#path(id, 'segments'));
    await this.#context.files.syncFolder(this.#context.folder);
  }

  #content(order: readonly ParcelId[]): Promise<SetContent> {
    const paths = order.map((id) => this.#path(id, 'parcel'));
    return SetContent.load(this.#context.files, this.offer.blockSize, paths);
  }

  async #loadParcels(): Promise<void> {
    const { files, folder } = this.#context;
    const found: { readonly sequence: number; readonly parcel: CapturedParcel }[] = [];
    const names = await files.list(folder);
    const decodedNames = new Set<string>();
    for (const name of names.filter((each) => each.endsWith('.parcel'))) {
      const file = await this.#openParcelFile(join(folder, name));
      if (file === null) continue;
      const { announcement, sequence, placed } = file.head;
      if (placed) eachRun(file.table, (start, end) => this.#placed.add(start, end));
      decodedNames.add(announcement.id);
      found.push({ sequence, parcel: { kind: 'decoded', announcement, placed } });
    }
    for (const name of names.filter((each) => each.endsWith('.segments'))) {
      const path = join(folder, name);
      const log = decodedNames.has(name.slice(0, 32))
        ? null
        : await SegmentLog.open(files, path, this.#record.setId);
      if (log === null) {
        await files.remove(path);
      } else {
        found.push({
          sequence: log.sequence,
          parcel: { kind: 'arriving', announcement: log.announcement, log },
        });
      }
    }
    found.sort((a, b) => a.sequence - b.sequence);
    for (const { sequence, parcel } of found) {
      this.#parcels.set(parcel.announcement.id, parcel);
      this.#nextSequence = sequence + 1;
    }
    for (const { parcel } of this.phase.kind === 'collecting' ? found : []) {
      if (parcel.kind === 'arriving' && parcel.log.isWhole) await this.#completeAgain(parcel.announcement.id);
    }
  }

  /** A parcel whose last segment came in just before the end is decoded now; if it does not fit it comes again. */
  async #completeAgain(id: ParcelId): Promise<void> {
    try {
      await this.#completeFrom(id);
    } catch (cause) {
      if (!(cause instanceof StoreError) || cause.code !== 'bad-parcel') throw cause;
    }
  }

  /** An intact parcel of this set; another is removed while that loses nothing that was promised. */
  async #openParcelFile(path: string): Promise<ParcelFile | null> {
    try {
      const file = await ParcelFile.open(this.#context.files, path);
      await file.close();
      if (file.head.setId === this.#record.setId) return file;
    } catch (cause) {
      if (!(cause instanceof StoreError) || cause.code !== 'damaged' || this.phase.kind !== 'collecting')
        throw cause;
    }
    await this.#context.files.remove(path);
    return null;
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

  #path(id: ParcelId, kind: 'segments' | 'parcel'): string {
    return join(this.#context.folder, `${id}.${kind}`);
  }
}

const mismatch = (unfitParcels: readonly UnfitParcel[]): ReferenceMismatch =>
  new ReferenceMismatch(
    unfitParcels,
    `${unfitParcels.length} parcels were encoded against something else than what is held here`,
  );

function heldParcel(parcel: CapturedParcel): HeldParcel {
  const { id, length } = parcel.announcement;
  return {
    id,
    length,
    held: parcel.kind === 'decoded' ? [{ start: 0, end: length }] : [...parcel.log.held.ranges],
  };
}

function eachRun(table: RunTable, visit: (start: number, end: number) => void): void {
  for (let run = 0; run < table.length; run++) visit(table.start(run), table.end(run));
}
