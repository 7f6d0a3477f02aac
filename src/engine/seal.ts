import type { StateInfo } from '../../protocol/state.js';
import { byteCount, stateId, type WallTime } from '../../protocol/units.js';
import type { Clock } from '../platform/clock.js';
import { randomId, type Random } from '../platform/random.js';
import type { BlockWriter } from './block-writer.js';
import type { DeviceSync } from './device-sync.js';
import { VolumeError } from './errors.js';
import type { Epoch } from './epoch.js';
import { nameStart, withWritten } from './epoch-list.js';
import type { History } from './history.js';
import type { SealAttempt, SealRequest } from './volume-service.js';

export interface SealParts {
  readonly history: History;
  readonly writer: BlockWriter;
  readonly deviceSync: DeviceSync;
  readonly clock: Clock;
  readonly random: Random;
  readonly sizeBytes: number;
  readonly onBeforeImagesNotSynced: (error: unknown) => void;
  /** Looked at in the tick of the flip, and before anything is prepared: why not to seal; null: go on. */
  readonly obstacle: () => Refusal | null;
}

type Refusal = Exclude<SealAttempt, { readonly kind: 'sealed' }>;

/**
 * Seals the open epoch; one call at a time. The order is what makes a state's id mean something:
 *
 *   1. the next epoch's files exist and `epochs.json` lists it, without a start state
 *   2. the flip, within one tick: writes admitted from now on belong to the next epoch
 *   3. the old epoch's unfinished writes are waited for; only writes that overlap them wait too
 *   4. device, before-images and map are synced
 *   5. the record names the start of the next epoch and moves the pins there; now the state exists
 *
 * Killed or failed in between, the boundary stays without a name, nobody can have heard of the state, and the two
 * epochs are merged like any others. With an obstacle at the flip, the prepared epoch is taken away again.
 */
export async function sealEpoch(parts: SealParts, request: SealRequest): Promise<SealAttempt> {
  const early = parts.obstacle();
  if (early !== null) return early;
  const seal = await EpochSeal.prepare(parts);
  const obstacle = parts.obstacle();
  if (obstacle !== null) {
    await seal.giveUp();
    return obstacle;
  }
  seal.flip(request.pinAs.length > 0);
  return { kind: 'sealed', state: await seal.name(request) };
}

type EpochSealParts = Omit<SealParts, 'obstacle'>;

/** The steps of one seal, for those who have to do something in between. */
export class EpochSeal {
  #flipped: { readonly old: Epoch; readonly time: WallTime } | null = null;

  private constructor(
    readonly parts: EpochSealParts,
    readonly next: Epoch,
  ) {}

  /** Step 1. */
  static async prepare(parts: EpochSealParts): Promise<EpochSeal> {
    return new EpochSeal(parts, await parts.history.prepare());
  }

  /** Step 2, within this tick. `isPinned`: the state will be pinned. */
  flip(isPinned: boolean): void {
    const { history, clock } = this.parts;
    this.#flipped = { old: history.open, time: clock.wall() };
    history.flip(this.next, isPinned);
  }

  /** Steps 3 to 5. Fails with `io`; then there is no state. */
  async name(request: SealRequest): Promise<StateInfo> {
    const { history, writer, deviceSync, random, sizeBytes, onBeforeImagesNotSynced } = this.parts;
    if (this.#flipped === null) throw new Error('an epoch was named before it was opened');
    const { old, time } = this.#flipped;
    try {
      await writer.lock.finished(old);
      old.settled = true;
      await deviceSync.sync();
      await old.sync(onBeforeImagesNotSynced);
      const start: StateInfo = {
        id: stateId(randomId(random)),
        parent: history.record.lastState?.id ?? null,
        ordinal: history.record.nextOrdinal,
        time: request.time ?? time,
        grade: request.grade,
        size: byteCount(sizeBytes),
        ...(request.note !== undefined && { note: request.note }),
        ...(request.group !== undefined && { group: request.group }),
      };
      await history.update((record) =>
        nameStart(withWritten(record, old.number, old.written), this.next.number, start, request.pinAs),
      );
      return start;
    } catch (cause) {
      if (cause instanceof VolumeError) throw cause;
      throw new VolumeError(
        'io',
        `no state could be sealed: ${(cause as Error).message}`,
        'check space and health of the disks that hold the device and the state folder',
        { cause },
      );
    } finally {
      history.sealEnded();
    }
  }

  /** Ends it without a state. Once flipped, the boundary stays without a name, and is merged away. */
  async giveUp(): Promise<void> {
    const { history, writer } = this.parts;
    if (this.#flipped === null) {
      await history.discard(this.next);
      return;
    }
    const { old } = this.#flipped;
    history.sealEnded();
    await writer.lock.finished(old);
    old.settled = true;
  }
}
