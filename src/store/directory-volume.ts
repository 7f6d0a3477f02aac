import { join } from 'node:path';
import { SEED_OPENING } from '../../protocol/seed/seed-opening.js';
import type { AsyncDecompressor } from '../../protocol/parcel/parcel.js';
import type { Range } from '../../protocol/ranges.js';
import type { StateInfo } from '../../protocol/state.js';
import type { ParcelId, StateId } from '../../protocol/units.js';
import type { Clock } from '../platform/clock.js';
import type { Files } from '../platform/files.js';
import { randomId, type Random } from '../platform/random.js';
import { SerialQueue } from '../platform/serial-queue.js';
import { Capture, type CaptureContext } from './capture.js';
import { fromFileError, StoreError } from './errors.js';
import { BlockDigests } from './block-digests.js';
import { Image } from './image.js';
import { ImageUpkeep } from './image-upkeep.js';
import { checkOffer } from './offer-check.js';
import { MetPrimary } from './met-primary.js';
import { damagedFile } from './sealed-record.js';
import { applySet, forgetApplied } from './set-apply.js';
import { StateChain } from './state-chain.js';
import type {
  HeldParcel,
  ParcelAnnouncement,
  PointAccount,
  RestorePoint,
  ScrubOptions,
  ScrubReport,
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
 *     digests        what each block of it should hold (`BlockDigests`)
 *     suspects.json  blocks of it that do not, until they are healed
 *     increments/    one file for each older state, back from the next newer one
 *     capture/       the set on its way in
 *
 * The order of an apply: parcels decoded and synced; `capture.json` says durable (DURABLE); old blocks in a new
 * increment, synced; `capture.json` says overwriting and names the increment; image and digests written and synced; `volume.json`
 * has the new point (APPLIED); capture removed. Opening goes on from wherever that stopped.
 */
export class DirectoryVolume implements VolumeStore {
  readonly #context: VolumeContext;
  readonly #changes = new SerialQueue();
  readonly #chain: StateChain;
  readonly #met: MetPrimary;
  readonly #upkeep: ImageUpkeep;
  #image: Image | null = null;
  #capture: Capture | null = null;
  #fault: string | null = null;
  #isSeeded = false;
  #closed = false;

  private constructor(context: VolumeContext) {
    this.#context = context;
    const { files, random, folder } = context;
    this.#met = new MetPrimary(files, folder);
    this.#chain = new StateChain({
      files,
      random,
      folder,
      name: this.#name,
      change: (work) => this.#change(work),
    });
    this.#upkeep = new ImageUpkeep({
      ...context,
      name: this.#name,
      chain: this.#chain,
      image: () => this.#image,
      isOverwriting: () => this.#capture?.phase.kind === 'overwriting',
      change: (work) => this.#change(work),
    });
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
    return this.#chain.record !== null;
  }

  status(): VolumeStoreStatus {
    return {
      primary: this.#context.primary,
      volume: this.#context.volume,
      volumeId: this.#chain.record?.volumeId ?? null,
      blockSize: this.#chain.record?.blockSize ?? null,
      state: this.#chain.state,
      capture: this.#capture?.status() ?? null,
      opening: this.#met.opening,
      distrust: this.#met.distrust,
      suspects: this.#upkeep.suspects.suspects,
      ...(this.#fault === null ? {} : { fault: this.#fault }),
    };
  }

  parcel(id: ParcelId): HeldParcel | null {
    return this.#capture?.parcel(id) ?? null;
  }

  points(): readonly RestorePoint[] {
    return this.#chain.points;
  }

  begin(offer: SetOffer): Promise<void> {
    return this.#change(async () => {
      const captured = this.#capture;
      if (this.#isSeeded && offer.isSeed !== true) {
        throw new StoreError('in-use', `a first copy of ${this.#name} is being brought in from a disk`);
      }
      if (captured !== null && sameSet(captured.offer, offer)) return;
      this.#check(offer);
      if (captured !== null && captured.phase.kind !== 'collecting') await this.#apply();
      else await this.#drop();
      const digests = await this.#identify(offer);
      const image = (this.#image ??= await Image.open(this.#context.files, this.#context.folder));
      if (offer.from === null) await this.#startAnew(image, offer, digests);
      this.#capture = await Capture.create(this.#captureContext(image), offer);
    });
  }

  turn(offer: SetOffer, keep: readonly ParcelId[]): Promise<void> {
    return this.#change(async () => {
      const capture = this.#captured();
      const { phase, offer: held } = capture;
      const isTheSame = held.volumeId === offer.volumeId && held.blockSize === offer.blockSize;
      if (phase.kind !== 'collecting' || held.from !== offer.from || !isTheSame) {
        throw new StoreError('no-capture', `no set from that state is being captured for ${this.#name}`);
      }
      this.#check(offer);
      if (offer.to.size < held.to.size) {
        throw new StoreError(
          'geometry-mismatch',
          `a set for ${this.#name} cannot be turned to a smaller state`,
        );
      }
      if (offer.from === null) await this.#image?.grow(offer.to.size);
      await capture.turn(offer, keep);
    });
  }

  meet(opening: string): Promise<void> {
    return this.#change(() => this.#met.meet(opening));
  }

  distrust(why: string | null): Promise<void> {
    const since = this.#context.clock.wall();
    return this.#change(() => this.#met.setDistrust(why === null ? null : { since, why }));
  }

  async whileSeeded<T>(work: () => Promise<T>): Promise<T> {
    if (this.#isSeeded) {
      throw new StoreError('in-use', `a first copy of ${this.#name} is being brought in from a disk already`);
    }
    this.#isSeeded = true;
    try {
      return await work();
    } finally {
      this.#isSeeded = false;
    }
  }

  compared(like: StateId, differing: number): Promise<void> {
    return this.#change(async () => {
      if (this.#met.opening !== SEED_OPENING) return;
      // Else a point would count as confirmed that is not, if this is cut here.
      if (this.#chain.state?.id === like) {
        await this.#chain.trust(like, differing === 0 ? null : 'differed');
      }
      await this.#met.forgetOpening();
    });
  }

  announce(parcel: ParcelAnnouncement): Promise<void> {
    return this.#change(() => this.#captured().announce(parcel));
  }

  forget(id: ParcelId): Promise<void> {
    return this.#change(() => this.#captured().forget(id));
  }

  append(id: ParcelId, offset: number, ...parts: readonly Uint8Array[]): Promise<void> {
    return this.#change(() => this.#upkeep.blaming(() => this.#captured().append(id, offset, parts)));
  }

  commit(parcels: readonly ParcelId[], digest: Uint8Array, account?: PointAccount): Promise<void> {
    return this.#change(() => this.#upkeep.blaming(() => this.#captured().commit(parcels, digest, account)));
  }

  apply(): Promise<RestorePoint> {
    return this.#change(() => this.#apply());
  }

  drop(): Promise<void> {
    return this.#change(() => this.#drop());
  }

  async removePoints(states: ReadonlySet<StateId>, signal?: AbortSignal): Promise<readonly RestorePoint[]> {
    this.#checkOpen();
    try {
      return await this.#chain.removePoints(states, signal);
    } catch (cause) {
      throw fromFileError(cause);
    }
  }

  async openState(state: StateId, checks: 'checked' | 'unchecked' = 'checked'): Promise<StateReader> {
    this.#checkOpen();
    return Promise.resolve(this.#chain.open(state, this.#image, checks === 'checked'));
  }

  scrub(options: ScrubOptions): Promise<ScrubReport> {
    return this.#upkeep.scrub(options);
  }

  trust(state: StateId, blocks: readonly Range[] | null): Promise<void> {
    return this.#upkeep.trust(state, blocks);
  }

  /** Waits for the change under way, then closes every file; readers fail from then on. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#upkeep.stop();
    await this.#chain.stop();
    await this.#changes.run(async () => {
      await this.#chain.close();
      await this.#capture?.close();
      await this.#image?.close();
    });
  }

  get #name(): string {
    return `${this.#context.primary}/${this.#context.volume}`;
  }

  #captureContext(image: Image): CaptureContext {
    const { files, random, decompressor, folder } = this.#context;
    const base = (): StateInfo | null => this.#chain.state;
    return { files, random, decompressor, image, base, folder: join(folder, 'capture') };
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
    await this.#chain.load();
    if (!this.exists) return;
    await this.#met.load();
    await this.#upkeep.suspects.load();
    const image = (this.#image = await Image.open(files, folder));
    const { digests, blockSize } = this.#chain.record ?? {};
    if (digests !== undefined && blockSize !== undefined)
      await image.keepDigests(await BlockDigests.open(files, folder, { id: digests, blockSize }));
    if ((await image.size()) < (this.#chain.state?.size ?? 0)) {
      throw damagedFile(join(folder, 'image'), 'it is shorter than its state');
    }
    const capture = await Capture.load(this.#captureContext(image));
    await this.#chain.removeOrphans(capture?.phase.kind === 'overwriting' ? capture.phase.increment : null);
    if (capture !== null) await this.#resume(capture);
  }

  /** Takes up a capture found at opening: finishes it, goes on with it, or drops it. */
  async #resume(capture: Capture): Promise<void> {
    const { from, to } = capture.offer;
    if (to.id === this.#chain.state?.id) return capture.remove();
    if (from !== (this.#chain.state?.id ?? null)) {
      await capture.close();
      if (capture.phase.kind !== 'overwriting') return capture.remove();
      throw damagedFile(this.#chain.path, 'it is older than the image beside it');
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
    const capture = this.#capture;
    const { state, record } = this.#chain;
    const base = capture !== null && capture.phase.kind !== 'collecting' ? capture.offer.to : state;
    checkOffer(offer, {
      name: this.#name,
      folder: this.#context.folder,
      record: base !== null || capture !== null ? record : null,
      base,
    });
  }

  /**
   * Makes the volume exist, or gives one that never had a state its identity and that of its digests, which is returned;
   * null: it has a state.
   */
  async #identify({ volumeId, blockSize, from }: SetOffer): Promise<string | null> {
    const { files, folder, random } = this.#context;
    if (from !== null) return null;
    const digests = randomId(random);
    await files.makeFolder(join(folder, 'increments'));
    await this.#chain.replaceRecord({ volumeId, blockSize, points: [], digests });
    return digests;
  }

  /** An image of zeros, and digests that say so. */
  async #startAnew(image: Image, { to, blockSize }: SetOffer, digests: string | null): Promise<void> {
    const { files, folder } = this.#context;
    await image.reset(to.size);
    await image.keepDigests(null);
    await this.#upkeep.suspects.remove(null);
    if (digests !== null)
      await image.keepDigests(await BlockDigests.create(files, folder, { id: digests, blockSize }, true));
  }

  async #drop(): Promise<void> {
    const capture = this.#capture;
    if (capture === null || capture.phase.kind !== 'collecting') return;
    this.#capture = null;
    await capture.remove();
    if (this.#chain.state === null) await this.#image?.reset(0);
  }

  async #apply(): Promise<RestorePoint> {
    const capture = this.#captured();
    const image = this.#image;
    if (capture.phase.kind === 'collecting' || image === null) {
      throw new StoreError('incomplete-capture', `the set for ${this.#name} is not committed`);
    }
    const { clock, random } = this.#context;
    const context = { clock, random, image, chain: this.#chain, suspects: this.#upkeep.suspects };
    const point = await applySet(capture, context);
    this.#capture = null;
    this.#fault = null;
    await forgetApplied(capture);
    return point;
  }
}

const sameSet = (a: SetOffer, b: SetOffer): boolean =>
  a.volumeId === b.volumeId &&
  a.blockSize === b.blockSize &&
  a.from === b.from &&
  a.to.id === b.to.id &&
  a.to.size === b.to.size &&
  a.isSeed === b.isSeed;
