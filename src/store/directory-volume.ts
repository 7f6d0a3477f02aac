import { join } from 'node:path';
import type { AsyncDecompressor } from '../../protocol/parcel/parcel.js';
import type { StateInfo } from '../../protocol/state.js';
import { isBlockSize, MAX_BLOCKS, type ParcelId, type StateId } from '../../protocol/units.js';
import type { Clock } from '../platform/clock.js';
import { FileError, type Files } from '../platform/files.js';
import { randomId, type Random } from '../platform/random.js';
import { overwriteImage, saveOldBlocks } from './apply.js';
import { Capture, type CaptureContext } from './capture.js';
import { fromFileError, StoreError } from './errors.js';
import { Image } from './image.js';
import { IncrementShelf } from './increment-shelf.js';
import { IncrementWriter } from './increment.js';
import { damagedFile } from './sealed-record.js';
import { SerialQueue } from './serial-queue.js';
import type { SetContent } from './set-content.js';
import { ChainReader, type ChainLink } from './state-reader.js';
import {
  decodeVolumeRecord,
  encodeVolumeRecord,
  type PointRecord,
  type VolumeRecord,
} from './volume-record.js';
import type {
  ParcelAnnouncement,
  RestorePoint,
  SetOffer,
  StateReader,
  VolumeStore,
  VolumeStoreStatus,
} from './volume-store.js';

export interface VolumeContext {
  readonly files: Files;
  readonly clock: Clock;
  readonly random: Random;
  readonly decompressor: AsyncDecompressor;
  /** `store/<primary>/<volume>`; made by the first `begin`. */
  readonly folder: string;
  readonly primary: string;
  readonly volume: string;
}

/**
 * A volume's far copy in its folder:
 *
 *     volume.json    which states exist (decides); replaced atomically
 *     image          the newest state
 *     increments/    one file for each older state, back from the next newer one
 *     capture/       the set on its way in
 *
 * The order of an apply: parcels decoded and synced; `capture.json` says durable (DURABLE); old blocks in a new
 * increment, synced; `capture.json` says overwriting and names the increment; image written and synced; `volume.json`
 * has the new point (APPLIED); capture removed. Opening goes on from wherever that stopped.
 */
export class DirectoryVolume implements VolumeStore {
  readonly #context: VolumeContext;
  readonly #shelf: IncrementShelf;
  readonly #changes = new SerialQueue();
  /** Grows at its end only; shared with the readers. */
  readonly #chain: ChainLink[] = [];
  readonly #readers = new Set<StateReader>();
  #record: VolumeRecord | null = null;
  #image: Image | null = null;
  #capture: Capture | null = null;
  #fault: string | null = null;
  #closed = false;

  private constructor(context: VolumeContext) {
    this.#context = context;
    this.#shelf = new IncrementShelf(context.files, join(context.folder, 'increments'));
  }

  /** Opens a volume, there or not, and finishes its apply if one was under way. `damaged` if it cannot be trusted. */
  static async open(context: VolumeContext): Promise<DirectoryVolume> {
    const volume = new DirectoryVolume(context);
    try {
      await volume.#load();
      return volume;
    } catch (cause) {
      await volume.close();
      throw fromFileError(cause);
    }
  }

  get exists(): boolean {
    return this.#record !== null;
  }

  status(): VolumeStoreStatus {
    return {
      primary: this.#context.primary,
      volume: this.#context.volume,
      volumeId: this.#record?.volumeId ?? null,
      blockSize: this.#record?.blockSize ?? null,
      state: this.#state,
      capture: this.#capture?.status() ?? null,
      ...(this.#fault === null ? {} : { fault: this.#fault }),
    };
  }

  points(): readonly RestorePoint[] {
    return (this.#record?.points ?? [])
      .map(({ state, appliedAt, blocks }) => ({ state, appliedAt, blocks }))
      .reverse();
  }

  begin(offer: SetOffer): Promise<void> {
    return this.#change(async () => {
      const captured = this.#capture;
      if (captured !== null && sameSet(captured.offer, offer)) return;
      this.#check(offer);
      if (captured !== null && captured.phase.kind !== 'collecting') await this.#apply();
      else await this.#drop();
      await this.#identify(offer);
      const image = (this.#image ??= await Image.open(this.#context.files, this.#context.folder));
      if (offer.from === null) await image.reset(offer.to.size);
      this.#capture = await Capture.create(this.#captureContext(image), offer);
    });
  }

  announce(parcel: ParcelAnnouncement): Promise<void> {
    return this.#change(() => this.#captured().announce(parcel));
  }

  forget(id: ParcelId): Promise<void> {
    return this.#change(() => this.#captured().forget(id));
  }

  append(id: ParcelId, offset: number, bytes: Uint8Array): Promise<void> {
    return this.#change(() => this.#captured().append(id, offset, bytes));
  }

  commit(parcels: readonly ParcelId[], digest: Uint8Array): Promise<void> {
    return this.#change(() => this.#captured().commit(parcels, digest));
  }

  apply(): Promise<RestorePoint> {
    return this.#change(() => this.#apply());
  }

  drop(): Promise<void> {
    return this.#change(() => this.#drop());
  }

  async openState(state: StateId): Promise<StateReader> {
    this.#checkOpen();
    const points = this.#record?.points ?? [];
    const place = points.findIndex((point) => point.state.id === state);
    const point = points[place];
    if (point === undefined || this.#record === null || this.#image === null) {
      throw new StoreError(
        'unknown-point',
        `${this.#name} has no state ${state}`,
        'see the restore points it has',
      );
    }
    const { blockSize } = this.#record;
    const reader = new ChainReader(point.state, blockSize, place, this.#chain, this.#image, this.#shelf);
    this.#readers.add(reader);
    return Promise.resolve({
      state: reader.state,
      blockSize,
      read: (into, position) => reader.read(into, position),
      nextData: (from) => reader.nextData(from),
      close: async () => {
        this.#readers.delete(reader);
        await reader.close();
      },
    });
  }

  /** Waits for the change under way, then closes every file; readers fail from then on. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#changes.run(async () => {
      for (const reader of this.#readers) await reader.close();
      await this.#capture?.close();
      await this.#shelf.close();
      await this.#image?.close();
    });
  }

  get #name(): string {
    return `${this.#context.primary}/${this.#context.volume}`;
  }

  get #state(): StateInfo | null {
    return this.#record?.points.at(-1)?.state ?? null;
  }

  get #recordPath(): string {
    return join(this.#context.folder, 'volume.json');
  }

  #captureContext(image: Image): CaptureContext {
    const { files, random, decompressor, folder } = this.#context;
    return { files, random, decompressor, image, folder: join(folder, 'capture') };
  }

  #captured(): Capture {
    if (this.#capture === null)
      throw new StoreError('no-capture', `no set is being captured for ${this.#name}`);
    return this.#capture;
  }

  #checkOpen(): void {
    if (this.#closed) throw new StoreError('closed', 'the store is closed');
  }

  #change<T>(work: () => Promise<T>): Promise<T> {
    return this.#changes.run(async () => {
      this.#checkOpen();
      try {
        return await work();
      } catch (cause) {
        throw fromFileError(cause);
      }
    });
  }

  async #load(): Promise<void> {
    const { files, folder } = this.#context;
    if (!(await files.exists(this.#recordPath))) {
      // The record is synced before the image is made, so this is not the work of a crash.
      if (await files.exists(join(folder, 'image'))) throw damagedFile(this.#recordPath, 'it is missing');
      return;
    }
    this.#record = decodeVolumeRecord(await files.readWhole(this.#recordPath, 1 << 28), this.#recordPath);
    const image = (this.#image = await Image.open(files, folder));
    if ((await image.size()) < (this.#state?.size ?? 0)) {
      throw damagedFile(join(folder, 'image'), 'it is shorter than its state');
    }
    for (const { increment, state } of this.#record.points) {
      if (increment !== null) this.#chain.push({ name: increment, older: state.id });
    }
    const capture = await Capture.load(this.#captureContext(image));
    await this.#removeOrphans(capture);
    if (capture !== null) await this.#resume(capture);
  }

  /** Takes up a capture found at opening: finishes it, goes on with it, or drops it. */
  async #resume(capture: Capture): Promise<void> {
    const { from, to } = capture.offer;
    if (to.id === this.#state?.id) return capture.remove();
    if (from !== (this.#state?.id ?? null)) {
      await capture.close();
      if (capture.phase.kind !== 'overwriting') return capture.remove();
      throw damagedFile(this.#recordPath, 'it is older than the image beside it');
    }
    this.#capture = capture;
    if (capture.phase.kind === 'collecting') return;
    try {
      await this.#apply();
    } catch (cause) {
      // A full disk must not keep the other volumes, nor this one's older states, from being read.
      const error = fromFileError(cause);
      if (!(error instanceof StoreError)) throw error;
      this.#fault = `the set that leads to state ${to.id} could not be applied: ${error.message}`;
    }
  }

  /** Refuses an offer that does not fit, before anything is touched. */
  #check(offer: SetOffer): void {
    const { from, to, blockSize } = offer;
    const capture = this.#capture;
    const base = capture !== null && capture.phase.kind !== 'collecting' ? capture.offer.to : this.#state;
    const record = base !== null || capture !== null ? this.#record : null;
    if (record !== null && record.volumeId !== offer.volumeId) {
      throw new StoreError(
        'other-volume',
        `the store holds another volume as ${this.#name}`,
        `give the new volume another name, or move ${this.#context.folder} away to begin a new copy`,
      );
    }
    if (from !== (base?.id ?? null)) {
      throw new StoreError(
        'base-mismatch',
        `the copy of ${this.#name} is at ${base === null ? 'no state' : `state ${base.id}`}, the set starts from ${from ?? 'nothing'}`,
        'compare the volume with its copy',
      );
    }
    if (to.id === base?.id || this.#record?.points.some((point) => point.state.id === to.id) === true) {
      throw new StoreError('base-mismatch', `the copy of ${this.#name} has been at state ${to.id} before`);
    }
    if (!isBlockSize(blockSize) || to.size % blockSize !== 0 || to.size / blockSize > MAX_BLOCKS) {
      throw new StoreError('geometry-mismatch', `${to.size} bytes do not make blocks of ${blockSize}`);
    }
    if (record !== null && record.blockSize !== blockSize) {
      throw new StoreError(
        'geometry-mismatch',
        `the copy of ${this.#name} has blocks of ${record.blockSize} bytes, the set of ${blockSize}`,
        `set blockSize back to ${record.blockSize} on the primary, or move ${this.#context.folder} away to begin a new copy`,
      );
    }
    if (base !== null && to.size < base.size) {
      throw new StoreError(
        'geometry-mismatch',
        `volume ${this.#name} has ${to.size} bytes, its copy ${base.size}`,
        `a volume may grow, not shrink: check the device on the primary, or move ${this.#context.folder} away to begin a new copy`,
      );
    }
  }

  /** Makes the volume exist, or gives one that never had a state its new identity. */
  async #identify({ volumeId, blockSize }: SetOffer): Promise<void> {
    const { files, folder } = this.#context;
    if (this.#record?.volumeId === volumeId && this.#record.blockSize === blockSize) return;
    await files.makeFolder(join(folder, 'increments'));
    await this.#replaceRecord({ volumeId, blockSize, points: [] });
  }

  async #replaceRecord(record: VolumeRecord): Promise<void> {
    await this.#context.files.replace(this.#recordPath, encodeVolumeRecord(record));
    this.#record = record;
  }

  async #drop(): Promise<void> {
    const capture = this.#capture;
    if (capture === null || capture.phase.kind !== 'collecting') return;
    this.#capture = null;
    await capture.remove();
    if (this.#state === null) await this.#image?.reset(0);
  }

  async #apply(): Promise<RestorePoint> {
    const capture = this.#captured();
    const record = this.#record;
    const image = this.#image;
    if (capture.phase.kind === 'collecting' || record === null || image === null) {
      throw new StoreError('incomplete-capture', `the set for ${this.#name} is not committed`);
    }
    const base = this.#state;
    const { to } = capture.offer;
    const content = await capture.content();
    try {
      if (capture.phase.kind === 'durable') {
        const saved = base === null ? null : await this.#saveOld(content, image, base, to.id);
        await capture.markOverwriting(saved);
      }
      const increment = this.#attachIncrement(capture, base);
      await overwriteImage(content, image, to.size, base === null);
      const point = { state: to, appliedAt: this.#context.clock.wall(), blocks: content.countBlocks() };
      const points = record.points.map((old): PointRecord => ({
        ...old,
        increment: old.increment ?? increment,
      }));
      await this.#replaceRecord({ ...record, points: [...points, { ...point, increment: null }] });
      this.#capture = null;
      this.#fault = null;
      await this.#forgetApplied(capture);
      return point;
    } finally {
      await content.close();
    }
  }

  /** Old blocks into a new increment, synced; its name. Each attempt has a name of its own (see `#attachIncrement`). */
  async #saveOld(content: SetContent, image: Image, base: StateInfo, newer: StateId): Promise<string> {
    const { files, random } = this.#context;
    const name = randomId(random);
    const bounds = { older: base.id, newer, blockSize: content.blockSize };
    const writer = await IncrementWriter.create(files, this.#shelf.path(name), bounds);
    try {
      await saveOldBlocks(content, image, base.size, writer);
      await writer.finish();
    } catch (cause) {
      await writer.close();
      await files.remove(this.#shelf.path(name));
      throw cause;
    }
    await writer.close();
    await files.syncFolder(this.#shelf.folder);
    return name;
  }

  /**
   * Lets readers of older states use the increment that the phase mark names. A mark whose writing failed half way
   * may be on the disk all the same; the increment it names is intact, for a later attempt writes another.
   */
  #attachIncrement(capture: Capture, base: StateInfo | null): string | null {
    const increment = capture.phase.kind === 'overwriting' ? capture.phase.increment : null;
    if (base === null || increment === null) return null;
    if (this.#chain.at(-1)?.name !== increment) this.#chain.push({ name: increment, older: base.id });
    return increment;
  }

  /** What stays of an applied capture is recognised by its state and removed at the next opening or `begin`. */
  async #forgetApplied(capture: Capture): Promise<void> {
    try {
      await capture.remove();
    } catch (cause) {
      if (!(cause instanceof FileError)) throw cause;
    }
  }

  /** Removes increments that belong to no point: of attempts that were cut short. */
  async #removeOrphans(capture: Capture | null): Promise<void> {
    const { files } = this.#context;
    const wanted = new Set(this.#chain.map((link) => link.name));
    if (capture?.phase.kind === 'overwriting' && capture.phase.increment !== null) {
      wanted.add(capture.phase.increment);
    }
    for (const name of await files.list(this.#shelf.folder)) {
      if (!wanted.has(name)) await files.remove(this.#shelf.path(name));
    }
  }
}

const sameSet = (a: SetOffer, b: SetOffer): boolean =>
  a.volumeId === b.volumeId &&
  a.blockSize === b.blockSize &&
  a.from === b.from &&
  a.to.id === b.to.id &&
  a.to.size === b.to.size;
