import type { CopyStatus } from '../../protocol/messages/message.js';
import type { StateInfo } from '../../protocol/state.js';
import type { StateId, VolumeId } from '../../protocol/units.js';
import type { Comparisons } from './comparisons.js';
import { reachedBy, type CopyStanding } from './copy-standing.js';
import type { KnownDigests } from './known-digests.js';
import { FROM_DISK } from './refusal.js';
import type { TravelPins } from './travel-pins.js';

/** What was kept of a state that was written to a disk, to confirm the copy by; null: nothing (any more). */
export type SeedDigests = (state: StateId) => Promise<KnownDigests | null>;

export interface SeedConfirmationOptions {
  readonly volumeName: string;
  readonly volumeId: VolumeId;
  readonly backup: string;
  /** Left out: nothing is ever kept. */
  readonly seedDigests?: SeedDigests;
  readonly onEvent: (level: 'info', text: string) => void;
  readonly pins: TravelPins;
  readonly copy: CopyStanding;
  readonly comparisons: Comparisons;
}

/**
 * A copy that came on a disk is compared before anything is built on it: who carried the disk may have changed it, and
 * disks rot. Its own state is what it is compared with, by the digests that were kept when it was written; where they
 * are gone, what travels next, as a whole.
 */
export class SeedConfirmation {
  readonly #options: SeedConfirmationOptions;

  constructor(options: SeedConfirmationOptions) {
    this.#options = options;
  }

  /** Is the copy in the session one that came on a disk, and not compared since. */
  get isDue(): boolean {
    const { copy, pins, volumeId } = this.#options;
    const { status } = copy;
    if (status === null || status.volumeId !== volumeId) return false;
    const at = reachedBy(status);
    // The second: should the backup not tell, or not know any more, where its copy came from.
    return at !== null && (copy.isFromDisk || (at === pins.seed?.id && at !== pins.base?.id));
  }

  /** Begins the compare that is due; `target` is what travels. In its turn of the queue. */
  async begin(target: StateInfo | null): Promise<void> {
    const { volumeName, backup, seedDigests, onEvent, pins, copy, comparisons } = this.#options;
    const at = reachedBy(copy.status as CopyStatus);
    const { seed } = pins;
    const known = seed?.id === at ? ((await seedDigests?.(seed.id)) ?? null) : null;
    onEvent('info', `${volumeName}: the copy at ${backup} came on a disk; it is compared`);
    const reason = { why: FROM_DISK, doubt: null };
    if (seed !== null && known !== null) comparisons.begin(seed, { ...reason, known });
    else comparisons.begin(target ?? (await pins.sealToCompare()), reason);
  }
}
