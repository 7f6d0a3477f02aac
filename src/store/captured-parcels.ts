import { join } from 'node:path';
import { MAX_PARCEL_ENCODED, type AsyncDecompressor } from '../../protocol/parcel/parcel.js';
import { RangeSet } from '../../protocol/ranges.js';
import type { StateInfo } from '../../protocol/state.js';
import type { ParcelId } from '../../protocol/units.js';
import type { Files } from '../platform/files.js';
import { decodeArrived, placeInImage } from './arrived-parcel.js';
import { CaptureReferences } from './capture-references.js';
import { ReferenceMismatch, StoreError, type UnfitParcel } from './errors.js';
import type { Image } from './image.js';
import { ParcelFile, writeParcelFile } from './parcel-file.js';
import type { RunTable } from './run-table.js';
import { OpenLogs } from './open-logs.js';
import { RecordMemory, SegmentLog } from './segment-log.js';
import { SetContent } from './set-content.js';
import type { HeldParcel, ParcelAnnouncement, SetOffer } from './volume-store.js';

/** The most parcels a set may have: 16 TiB in parcels of 16 MiB. */
const MAX_PARCELS = 1 << 20;

/** What the parcels of a capture work with; `folder` is the capture's own. */
export interface ParcelsContext {
  readonly files: Files;
  readonly folder: string;
  readonly image: Image;
  /** The state that the image equals now; null: none. */
  readonly base: () => StateInfo | null;
  readonly decompressor: AsyncDecompressor;
}

export interface CapturedParcelsOptions extends ParcelsContext {
  readonly setId: string;
  readonly offer: () => SetOffer;
  /**
   * Resolves when parcels may come and go: the set is collecting, and the disk says so too. Fails with `no-capture` once it
   * is committed.
   */
  readonly prepareLoss: () => Promise<void>;
}

type CapturedParcel =
  | { readonly kind: 'arriving'; readonly announcement: ParcelAnnouncement; readonly log: SegmentLog }
  | { readonly kind: 'decoded'; readonly announcement: ParcelAnnouncement; readonly placed: boolean };

/**
 * The parcels of the set in a capture's folder: each is either `<id>.segments` (arriving) or `<id>.parcel` (decoded,
 * checked and synced).
 *
 * The parcels of a first copy are put into the image as they become whole, as long as they do not overlap, so that a
 * first copy needs its space once; `<id>.parcel` then keeps their tables and digests only. What lies in the image
 * outside the parcels of the committed set (of one that was forgotten, or interrupted) is cleared by the apply.
 *
 * A delta is decoded against the image, which is the base state's as long as the set is collecting, and against the
 * decoded parcels it names; while one of those is on its way, it waits beside it, whole and undecoded.
 */
export class CapturedParcels {
  readonly #options: CapturedParcelsOptions;
  readonly #parcels = new Map<ParcelId, CapturedParcel>();
  readonly #references: CaptureReferences;
  /** Blocks of the image that placed parcels own. */
  readonly #placed = new RangeSet();
  readonly #records = new RecordMemory();
  readonly #openLogs = new OpenLogs();
  #nextSequence = 0;

  constructor(options: CapturedParcelsOptions) {
    this.#options = options;
    this.#references = new CaptureReferences({
      ...options,
      from: options.offer().from,
      kindOf: (id) => this.#parcels.get(id)?.kind,
      pathOf: (id) => this.#path(id, 'parcel'),
    });
  }

  /** Takes up what is in the folder; only what is intact counts. */
  async load(isCollecting: boolean): Promise<void> {
    const { files, folder } = this.#options;
    const found: { readonly sequence: number; readonly parcel: CapturedParcel }[] = [];
    const names = await files.list(folder);
    const decodedNames = new Set<string>();
    for (const name of names.filter((each) => each.endsWith('.parcel'))) {
      const file = await this.#openParcelFile(join(folder, name), isCollecting);
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
        : await SegmentLog.open(files, path, this.#options.setId);
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
    for (const { parcel } of isCollecting ? found : []) {
      if (parcel.kind === 'arriving' && parcel.log.isWhole) await this.#completeAgain(parcel.announcement.id);
    }
  }

  /** In the order of announcement. */
  get held(): readonly HeldParcel[] {
    return [...this.#parcels.values()].map(heldParcel);
  }

  heldOf(id: ParcelId): HeldParcel | null {
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
    await this.#options.prepareLoss();
    const kept: ParcelAnnouncement = { id, length, digest: Uint8Array.from(digest) };
    const sequence = isReplaceable ? parcel.log.sequence : this.#nextSequence++;
    const { files, setId } = this.#options;
    const log = await SegmentLog.create(
      files,
      this.#path(id, 'segments'),
      setId,
      kept,
      sequence,
      isReplaceable,
    );
    this.#parcels.set(id, { kind: 'arriving', announcement: kept, log });
    if (isReplaceable) await parcel.log.close();
  }

  async forget(id: ParcelId): Promise<void> {
    const parcel = this.#parcels.get(id);
    if (parcel === undefined) return;
    await this.#options.prepareLoss();
    if (parcel.kind === 'arriving') {
      await parcel.log.close();
    } else if (parcel.placed) {
      const file = await ParcelFile.open(this.#options.files, this.#path(id, 'parcel'));
      await file.close();
      eachRun(file.table, (start, end) => this.#placed.remove(start, end));
    }
    this.#parcels.delete(id);
    this.#references.forget(id);
    await this.#options.files.remove(this.#path(id, 'parcel'));
    await this.#options.files.remove(this.#path(id, 'segments'));
    // Else a power cut brings a forgotten parcel back, beside one that took its place in the image.
    await this.#options.files.syncFolder(this.#options.folder);
  }

  async forgetAllBut(keep: readonly ParcelId[]): Promise<void> {
    const kept = new Set(keep);
    for (const id of [...this.#parcels.keys()]) if (!kept.has(id)) await this.forget(id);
  }

  async append(id: ParcelId, offset: number, parts: readonly Uint8Array[]): Promise<void> {
    const parcel = this.#parcels.get(id);
    if (parcel === undefined) throw new StoreError('no-capture', `parcel ${id} was not announced`);
    if (parcel.kind === 'decoded') return;
    const end = parts.reduce((sum, part) => sum + part.byteLength, offset);
    if (!Number.isSafeInteger(offset) || offset < 0 || end > parcel.announcement.length) {
      await this.forget(id);
      throw new StoreError('bad-parcel', `parcel ${id} has no bytes ${offset} to ${end}`);
    }
    await this.#options.prepareLoss();
    await this.#openLogs.use(parcel.log);
    await parcel.log.append(offset, parts, this.#records);
    if (!parcel.log.isWhole) return;
    const unfitParcels = await this.#completeFrom(id);
    if (unfitParcels.length > 0) throw mismatch(unfitParcels);
  }

  /** Sees to it that these parcels are decoded and have not gone bad since; `incomplete-capture` or `ReferenceMismatch` if not. */
  async complete(order: readonly ParcelId[]): Promise<void> {
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
  }

  /** The content of these parcels, which are decoded; the caller closes it. */
  content(order: readonly ParcelId[]): Promise<SetContent> {
    const paths = order.map((id) => this.#path(id, 'parcel'));
    return SetContent.load(this.#options.files, this.#options.offer().blockSize, paths);
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
      // It stays announced, in its place.
      await this.#options.prepareLoss();
      await parcel.log.empty();
      if (isBad && id === trigger) throw cause;
      return isUnfit ? cause.unfit : [{ id, base: [] }];
    }
  }

  /** Decodes a whole parcel, unless it has to wait for another. */
  async #complete(announcement: ParcelAnnouncement, log: SegmentLog): Promise<void> {
    const { files, decompressor, image } = this.#options;
    await this.#openLogs.use(log);
    const offer = this.#options.offer();
    const { id } = announcement;
    const { blockSize, from } = offer;
    const decoded = await decodeArrived(await log.assemble(), announcement, offer, {
      decompressor,
      references: (needs) => this.#references.read(id, needs),
    });
    if (decoded === null) return;
    const placed = from === null && !this.#overlapsPlaced(decoded.table);
    if (placed) await placeInImage(decoded, image, blockSize);
    const head = { announcement, sequence: log.sequence, setId: this.#options.setId, blockSize, placed };
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
        const file = await ParcelFile.open(this.#options.files, this.#path(id, 'parcel'));
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
    await this.#options.files.remove(this.#path(id, 'parcel'));
    await this.#options.files.remove(this.#path(id, 'segments'));
    await this.#options.files.syncFolder(this.#options.folder);
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
  async #openParcelFile(path: string, isCollecting: boolean): Promise<ParcelFile | null> {
    try {
      const file = await ParcelFile.open(this.#options.files, path);
      await file.close();
      if (file.head.setId === this.#options.setId) return file;
    } catch (cause) {
      if (!(cause instanceof StoreError) || cause.code !== 'damaged' || !isCollecting) throw cause;
    }
    await this.#options.files.remove(path);
    return null;
  }

  #path(id: ParcelId, kind: 'segments' | 'parcel'): string {
    return join(this.#options.folder, `${id}.${kind}`);
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
