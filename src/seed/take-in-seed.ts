import type { StateInfo } from '../../protocol/state.js';
import type { ParcelId } from '../../protocol/units.js';
import { SEED_OPENING } from '../../protocol/seed/seed-opening.js';
import { StoreError } from '../store/errors.js';
import type { VolumeStore } from '../store/volume-store.js';
import { SeedError } from './errors.js';
import type { SeedFile } from './seed-file.js';

export interface TakeInOptions {
  readonly seed: SeedFile;
  readonly store: VolumeStore;
  /** Bytes that may still be written where the store is; null: not known. */
  readonly freeBytes: number | null;
  /** What was held of another set is gone now. */
  readonly onBegun?: () => void;
  readonly signal: AbortSignal;
  /** In bytes of the file. */
  readonly progress: (done: number, total: number) => void;
}

export interface TakenIn {
  readonly state: StateInfo;
  /** Blocks with content. */
  readonly blocks: number;
}

/**
 * Brings a seed into the store as a first copy: its parts are the parcels of a set, which fill an image that has no state
 * and has none until all are there and make what the seed's end says. Killed in the midst of it, what was brought in is
 * still there when the same seed is brought in again, and is gone when anything else arrives. Fails with SeedError,
 * StoreError, or the signal's reason; nothing of it is kept then.
 */
export function takeInSeed(options: TakeInOptions): Promise<TakenIn> {
  const { seed, store } = options;
  const { volumeId, blockSize, state } = seed.head;
  return store.whileSeeded(async () => {
    checkVacant(store);
    await store.begin({ volumeId, blockSize, from: null, to: state, isSeed: true });
    options.onBegun?.();
    await store.meet(SEED_OPENING);
    try {
      checkRoom(options);
      const parcels = await takeParts(options);
      options.signal.throwIfAborted();
      await store.commit(parcels, seed.end.digest);
    } catch (cause) {
      await store.drop().catch(() => undefined);
      throw asDamage(cause, seed);
    }
    const { blocks } = await store.apply();
    return { state, blocks };
  });
}

async function takeParts({ seed, store, signal, progress }: TakeInOptions): Promise<ParcelId[]> {
  const parcels: ParcelId[] = [];
  for await (const part of seed.parts()) {
    signal.throwIfAborted();
    const { id, length, digest } = part;
    const held = store.parcel(id)?.held;
    const isHeld = held?.length === 1 && held[0]?.start === 0 && held[0].end === length;
    if (!isHeld) {
      const encoded = await part.read();
      await store.announce({ id, length, digest });
      await store.append(id, 0, encoded);
    }
    parcels.push(id);
    progress(part.end, seed.size);
  }
  return parcels;
}

function checkVacant(store: VolumeStore): void {
  const { primary, volume, state, capture } = store.status();
  const reached = capture?.durable === true ? capture.offer.to : state;
  if (reached === null) return;
  throw new SeedError(
    'copy-exists',
    `there is a copy of ${primary}/${volume} already, at state ${reached.id.slice(0, 8)}; a seed only begins one`,
    `\`farcopy sync\` at the primary brings it up to date; to begin anew, stop the backup and move the copy's folder away`,
  );
}

function checkRoom({ seed, store, freeBytes }: TakeInOptions): void {
  const isBegun = (store.status().capture?.parcels.length ?? 0) > 0;
  if (freeBytes === null || isBegun || freeBytes >= seed.end.contentBytes) return;
  throw new SeedError(
    'no-space',
    `the copy needs ${seed.end.contentBytes} bytes, and the disk of the store has ${freeBytes} left`,
    'free space there, or give the store a larger disk',
  );
}

/** A part may be whole and still not be what its digest says, if somebody has changed it with care. */
function asDamage(cause: unknown, { path }: SeedFile): unknown {
  const isOfContent =
    cause instanceof StoreError && (cause.code === 'bad-parcel' || cause.code === 'digest-mismatch');
  if (!isOfContent) return cause;
  const hint = 'copy it from the primary again, or make another seed there';
  return new SeedError('damaged', `${path} is damaged: ${cause.message}`, hint, { cause });
}
