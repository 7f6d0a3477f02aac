import type { Range } from '../../protocol/ranges.js';
import type { SpooledParcel } from '../../protocol/session/set-transfer.js';
import type { ParcelId, StateId } from '../../protocol/units.js';
import type { VolumeService } from '../engine/volume-service.js';
import type { Coverage } from './coverage.js';
import type { ParcelEncoder } from './encoder.js';
import { ReplicationError } from './errors.js';
import { buildParcels } from './parcel-builder.js';
import { encodeAgain } from './parcel-repair.js';
import { ParcelSizing } from './parcel-sizing.js';
import { qualityFor, type EncodingQuality } from './parcel-encoding.js';
import type { Spool } from './spool.js';
import { SuspectBlocks } from './suspect-blocks.js';

export interface SetBuildOptions {
  readonly volume: VolumeService;
  /** Whose base the set starts from. */
  readonly owner?: string;
  readonly blockSize: number;
  readonly spool: Spool;
  readonly encoder: ParcelEncoder;
  /** Has the backup certainly not heard of a set to this state; left out: it may have. */
  readonly isUnheard?: (to: StateId) => boolean;
  /** Rate of the line in use; undefined: fast, or none yet. */
  readonly bytesPerSecond: () => number | undefined;
  /** Parcels spooled that the backup does not hold yet. */
  readonly parcelsWaiting: () => number;
  /** Of a `ReferenceIndex` of the volume; null: there is none. */
  readonly index?: () => SharedArrayBuffer | null;
  /** The next parcel of the set is spooled and synced. */
  readonly onParcel: (parcel: SpooledParcel) => void;
  /** A parcel was encoded again. */
  readonly onRepaired: (parcel: SpooledParcel) => void;
  /** All parcels of the set are spooled; its digest. */
  readonly onComplete: (digest: Uint8Array) => void;
  readonly onFailed: (error: Error) => void;
}

/** How a spooled set is turned to another target. */
export interface Turning {
  /** How many first parcels stay; null: it cannot be turned. Asked when nothing changes the spool any more. */
  readonly kept: () => Promise<number | null>;
  /** Blocks that are left to be gathered then. */
  readonly count: (coverage: Coverage) => Promise<number>;
}

/** One parcel on the line and one ready; more would be work for a set that may be given up. */
const PARCELS_AHEAD = 2;

/** The encoding of the set in the spool, in the background and never far ahead of the line. */
export class SetBuild {
  readonly #options: SetBuildOptions;
  #current: { readonly to: StateId; readonly abort: AbortController; readonly done: Promise<void> } | null =
    null;
  readonly #suspects = new SuspectBlocks();
  /** The set to this state is encoded in forms that every backup reads. */
  #plain: StateId | null = null;
  /** Parcels that are being encoded again. */
  readonly #repairs = new Map<ParcelId, { readonly abort: AbortController; readonly done: Promise<void> }>();
  #look: () => void = () => undefined;

  constructor(options: SetBuildOptions) {
    this.#options = options;
  }

  /**
   * Makes sure that the spool holds, or is being filled with, just this set; `turning` says what stays of the one that is
   * spooled when that can be turned to it.
   */
  async fill(from: StateId | null, to: StateId, turning?: Turning): Promise<void> {
    const { spool, volume, owner } = this.#options;
    if (spool.set?.from !== from || spool.set.to !== to) {
      await this.stop();
      const kept = (await turning?.kept()) ?? null;
      if (turning !== undefined && kept !== null) {
        await spool.turn(to, kept, turning.count);
        this.start();
        return;
      }
      await spool.begin(
        from,
        to,
        await volume.countChanges({ from, to, ...(owner !== undefined && { by: owner }) }),
        this.#options.isUnheard?.(to) !== true,
      );
    }
    this.start();
  }

  /** Goes on with the spooled set; nothing to do if that is complete or being built. */
  start(): void {
    const set = this.#options.spool.set;
    if (set === null || set.digest !== null || this.#current !== null) return;
    const abort = new AbortController();
    const build = buildParcels(
      {
        ...this.#options,
        suspects: this.#suspects,
        plainly: set.to === this.#plain,
        sizing: new ParcelSizing(set.from === null, this.#options.bytesPerSecond),
        quality: () => this.#quality(),
        roomForNext: (signal) => this.#roomForNext(signal),
      },
      abort.signal,
    );
    const done = build.then(
      (digest) => {
        this.#current = null;
        this.#options.onComplete(digest);
      },
      (error: unknown) => {
        if (abort.signal.aborted) return;
        this.#current = null;
        this.#options.onFailed(error as Error);
      },
    );
    this.#current = { to: set.to, abort, done };
  }

  /** From the next parcel on that is begun, a set to this state refers to nothing. */
  encodePlainly(to: StateId): void {
    this.#plain = to;
  }

  /** The backup holds more now: another parcel may be wanted. */
  wake(): void {
    this.#look();
  }

  /** Resolves when nothing touches the spool any more. */
  async stop(): Promise<void> {
    const current = this.#current;
    this.#current = null;
    const works = [...this.#repairs.values(), ...(current === null ? [] : [current])];
    for (const { abort } of works)
      abort.abort(new ReplicationError('closed', 'the set is not wanted any more'));
    for (const { done } of works) await done;
  }

  /** Parcels that are being encoded again, and not to be sent as they are. */
  get repairing(): Iterable<ParcelId> {
    return this.#repairs.keys();
  }

  /**
   * The backup holds something else than a parcel refers to: it is encoded again without references, and none that is
   * encoded from now on refers to these blocks of the base state.
   */
  repair(id: ParcelId, base: readonly Range[]): void {
    const { spool, onRepaired, onFailed } = this.#options;
    const parcel = spool.set?.parcels.find((each) => each.id === id);
    if (parcel === undefined || this.#repairs.has(id)) return;
    this.#suspects.startFrom(spool.set?.from ?? null);
    this.#suspects.add(base);
    const abort = new AbortController();
    const done = encodeAgain(parcel, this.#quality(), this.#options, abort.signal).then(
      (again) => {
        this.#repairs.delete(id);
        onRepaired(again);
      },
      (error: unknown) => {
        this.#repairs.delete(id);
        if (!abort.signal.aborted) onFailed(error as Error);
      },
    );
    this.#repairs.set(id, { abort, done });
  }

  /** What is spooled is no good. */
  async discard(): Promise<void> {
    await this.stop();
    await this.#options.spool.discard();
  }

  #roomForNext(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => reject(signal.reason as Error);
      if (signal.aborted) {
        onAbort();
        return;
      }
      signal.addEventListener('abort', onAbort, { once: true });
      this.#look = () => {
        if (this.#options.parcelsWaiting() >= PARCELS_AHEAD) return;
        signal.removeEventListener('abort', onAbort);
        this.#look = () => undefined;
        resolve();
      };
      this.#look();
    });
  }

  #quality(): EncodingQuality {
    return qualityFor(this.#options.bytesPerSecond());
  }
}
