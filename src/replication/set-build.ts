import type { StateId } from '../../protocol/units.js';
import type { VolumeService } from '../engine/volume-service.js';
import type { ParcelEncoder } from './encoder.js';
import { ReplicationError } from './errors.js';
import { buildParcels } from './parcel-builder.js';
import { qualityFor } from './parcel-encoding.js';
import type { Spool } from './spool.js';

export interface SetBuildOptions {
  readonly volume: VolumeService;
  /** Whose base the set starts from. */
  readonly owner?: string;
  readonly blockSize: number;
  readonly spool: Spool;
  readonly encoder: ParcelEncoder;
  /** Rate of the line in use; undefined: fast, or none yet. */
  readonly bytesPerSecond: () => number | undefined;
  /** Parcels spooled that the backup does not hold yet. */
  readonly parcelsWaiting: () => number;
  readonly onParcel: () => void;
  readonly onComplete: () => void;
  readonly onFailed: (error: Error) => void;
}

/** One parcel on the line and one ready; more would be work for a set that may be given up. */
const PARCELS_AHEAD = 2;
const MIN_PARCEL_BYTES = 1 << 20;
const MAX_PARCEL_BYTES = 8 << 20;
/** Line time worth one parcel, before compression. */
const PARCEL_SECONDS = 240;

/** The encoding of the set in the spool, in the background and never far ahead of the line. */
export class SetBuild {
  readonly #options: SetBuildOptions;
  #current: { readonly to: StateId; readonly abort: AbortController; readonly done: Promise<void> } | null =
    null;
  #look: () => void = () => undefined;

  constructor(options: SetBuildOptions) {
    this.#options = options;
  }

  /** Makes sure that the spool holds, or is being filled with, just this set. */
  async fill(from: StateId | null, to: StateId): Promise<void> {
    const { spool, volume, owner } = this.#options;
    if (spool.set?.from !== from || spool.set.to !== to) {
      await this.stop();
      await spool.begin(
        from,
        to,
        await volume.countChanges({ from, to, ...(owner !== undefined && { by: owner }) }),
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
        sizing: () => this.#sizing(),
        roomForNext: (signal) => this.#roomForNext(signal),
      },
      abort.signal,
    );
    const done = build.then(
      () => {
        this.#current = null;
        this.#options.onComplete();
      },
      (error: unknown) => {
        if (abort.signal.aborted) return;
        this.#current = null;
        this.#options.onFailed(error as Error);
      },
    );
    this.#current = { to: set.to, abort, done };
  }

  /** The backup holds more now: another parcel may be wanted. */
  wake(): void {
    this.#look();
  }

  /** Resolves when nothing touches the spool any more. */
  async stop(): Promise<void> {
    const current = this.#current;
    this.#current = null;
    current?.abort.abort(new ReplicationError('closed', 'the set is not wanted any more'));
    await current?.done;
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

  #sizing(): { readonly contentBytes: number; readonly quality: 4 | 9 | 11 } {
    const rate = this.#options.bytesPerSecond();
    const wanted = rate === undefined ? MAX_PARCEL_BYTES : Math.floor(rate * PARCEL_SECONDS);
    return {
      contentBytes: Math.max(MIN_PARCEL_BYTES, Math.min(MAX_PARCEL_BYTES, wanted)),
      quality: qualityFor(rate),
    };
  }
}
