import type { Range } from '../../protocol/ranges.js';
import type { StateId } from '../../protocol/units.js';
import { SerialQueue } from '../platform/serial-queue.js';
import { fromFileError, ReferenceMismatch, StoreError } from './errors.js';
import type { Image } from './image.js';
import { narrowMismatch } from './rotten-references.js';
import { SuspectRecord } from './suspect-record.js';
import { scrubVolume, trustBlocks, type ScrubContext } from './volume-scrub.js';
import type { ScrubOptions, ScrubReport } from './volume-store.js';

export interface ImageUpkeepOptions extends Omit<ScrubContext, 'image' | 'suspects' | 'settled'> {
  /** For people. */
  readonly name: string;
  /** null: there is none yet. */
  readonly image: () => Image | null;
  /** An apply has begun to overwrite the image and could not go on. */
  readonly isOverwriting: () => boolean;
  /** The volume's changes, one after the other; fails once the volume is closed. */
  readonly change: <T>(work: () => Promise<T>) => Promise<T>;
}

/** What is done so that rot in a volume's image does not go unnoticed, and does not stay. */
export class ImageUpkeep {
  readonly suspects: SuspectRecord;
  readonly #options: ImageUpkeepOptions;
  readonly #scrubs = new SerialQueue();
  readonly #closing = new AbortController();

  constructor(options: ImageUpkeepOptions) {
    this.#options = options;
    this.suspects = new SuspectRecord(options.files, options.folder);
  }

  /** See `VolumeStore.scrub`. */
  scrub(options: ScrubOptions): Promise<ScrubReport> {
    const signal = AbortSignal.any([options.signal, this.#closing.signal]);
    return this.#scrubs.run(async () => {
      try {
        return await scrubVolume(this.#scrubContext(), { ...options, signal });
      } catch (cause) {
        throw fromFileError(cause);
      }
    });
  }

  /** See `VolumeStore.trust`. */
  trust(state: StateId, blocks: readonly Range[] | null): Promise<void> {
    const { chain, change, isOverwriting } = this.#options;
    return change(async () => {
      const image = this.#options.image();
      if (image === null || chain.state?.id !== state || isOverwriting()) return;
      await trustBlocks({ image, chain, suspects: this.suspects }, blocks);
    });
  }

  /**
   * Where parcels do not fit because blocks of the image have rotted, those are named, and suspect from then on. In a turn
   * among the volume's changes.
   */
  async blaming<T>(work: () => Promise<T>): Promise<T> {
    const { chain, clock } = this.#options;
    try {
      return await work();
    } catch (cause) {
      const image = this.#options.image();
      if (!(cause instanceof ReferenceMismatch) || image === null) throw cause;
      const { error, rotten } = await narrowMismatch(cause, image, chain.state?.size ?? 0);
      await this.suspects.add(rotten, clock.wall());
      throw error;
    }
  }

  /** Breaks a scrub off and waits for its end. The volume takes no changes any more. */
  async stop(): Promise<void> {
    this.#closing.abort(new StoreError('closed', 'the store is closed'));
    await this.#scrubs.idle();
  }

  #scrubContext(): ScrubContext {
    const { name, chain, change, isOverwriting } = this.#options;
    const image = this.#options.image();
    if (image === null || chain.state === null) {
      throw new StoreError('unknown-point', `there is no finished copy of ${name} yet`);
    }
    const settled = <T>(work: () => Promise<T>): Promise<T> =>
      change(() => {
        if (isOverwriting()) {
          throw new StoreError(
            'overwriting',
            `${name} is between two states: a set could not be applied to its end`,
            'see to what `farcopy status` says of it, then start the backup again',
          );
        }
        return work();
      });
    return { ...this.#options, image, suspects: this.suspects, settled };
  }
}
