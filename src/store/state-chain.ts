import { join } from 'node:path';
import type { StateInfo } from '../../protocol/state.js';
import type { StateId } from '../../protocol/units.js';
import type { Files } from '../platform/files.js';
import { randomId, type Random } from '../platform/random.js';
import { SerialQueue } from '../platform/serial-queue.js';
import { StoreError } from './errors.js';
import type { Image } from './image.js';
import { mergeIncrements } from './increment-merge.js';
import { IncrementShelf, type ChainLink } from './increment-shelf.js';
import { planRemoval, type RemovalStep } from './removal-plan.js';
import { damagedFile } from './sealed-record.js';
import { ChainReader } from './state-reader.js';
import {
  decodeVolumeRecord,
  encodeVolumeRecord,
  type PointRecord,
  type VolumeRecord,
} from './volume-record.js';
import type { RestorePoint, SeedTrust, StateReader } from './volume-store.js';

export interface ChainContext {
  readonly files: Files;
  readonly random: Random;
  /** The volume's. */
  readonly folder: string;
  /** For people. */
  readonly name: string;
  /** The volume's changes, one after the other; fails once the volume is closed. */
  readonly change: <T>(work: () => Promise<T>) => Promise<T>;
}

/**
 * Which states a copy has, and the way to each: `volume.json`, the increments, and the readers.
 *
 * The order of a removal: a new increment that leads over the points that go, synced; `volume.json` names it and no
 * longer has the points; the old increments go when no reader needs them. A reader keeps the links it began with, and
 * gets each new one *before* the first block of the image that the link replaces is overwritten.
 */
export class StateChain {
  readonly shelf: IncrementShelf;
  readonly #context: ChainContext;
  readonly #readers = new Set<ChainReader>();
  readonly #removals = new SerialQueue();
  readonly #closing = new AbortController();
  #record: VolumeRecord | null = null;
  /** Of an apply that is under way or has to be done again: its increment is not in the record yet. */
  #pending: ChainLink | null = null;
  /** Increments that the record on the disk may name or not, for its writing may have failed half way. */
  readonly #inDoubt: string[] = [];

  constructor(context: ChainContext) {
    this.#context = context;
    this.shelf = new IncrementShelf(context.files, join(context.folder, 'increments'));
  }

  /** Reads what is on the disk; `damaged` if there are states but no record of them. */
  async load(): Promise<void> {
    const { files, folder } = this.#context;
    if (await files.exists(this.path)) {
      this.#record = await this.readRecord();
    } else if (await files.exists(join(folder, 'image'))) {
      // The record is synced before the image is made, so this is not the work of a crash.
      throw damagedFile(this.path, 'it is missing');
    }
  }

  /** The record as it is on the disk; `damaged` if it is not what was written. */
  async readRecord(): Promise<VolumeRecord> {
    return decodeVolumeRecord(await this.#context.files.readWhole(this.path, 1 << 28), this.path);
  }

  /** The points there are, oldest first; the increments that lead to them stay until `release`. */
  hold(): { readonly points: readonly PointRecord[]; readonly release: () => Promise<void> } {
    const points = this.#record?.points ?? [];
    const names = points.flatMap(({ increment }) => increment ?? []);
    for (const name of names) this.shelf.pin(name);
    return {
      points,
      release: async () => {
        for (const name of names) await this.shelf.unpin(name);
      },
    };
  }

  get path(): string {
    return join(this.#context.folder, 'volume.json');
  }

  /** null: nothing was ever offered. */
  get record(): VolumeRecord | null {
    return this.#record;
  }

  /** The image's; null: none yet. */
  get state(): StateInfo | null {
    return this.#record?.points.at(-1)?.state ?? null;
  }

  /** Newest first. */
  get points(): readonly RestorePoint[] {
    return (this.#record?.points ?? []).map(withoutIncrement).reverse();
  }

  /** Atomic and durable. */
  async replaceRecord(record: VolumeRecord): Promise<void> {
    await this.#context.files.replace(this.path, encodeVolumeRecord(record));
    this.#record = record;
    const named = new Set(record.points.map(({ increment }) => increment));
    for (const name of this.#inDoubt.splice(0)) if (!named.has(name)) await this.shelf.discard(name);
  }

  /** Lets readers of the present state and older ones use the increment that leads back to it; repeats are fine. */
  attach(link: ChainLink): void {
    if (this.#pending?.name === link.name) return;
    this.#pending = link;
    for (const reader of this.#readers) reader.extend(link);
  }

  /** The image is the point's state now, and the attached increment leads back to the one before. */
  async append(point: RestorePoint): Promise<void> {
    const record = this.#record as VolumeRecord;
    const older = record.points.map((old): PointRecord => ({
      ...old,
      increment: old.increment ?? this.#pending?.name ?? null,
    }));
    await this.replaceRecord({ ...record, points: [...older, { ...point, increment: null }] });
    this.#pending = null;
  }

  /** What is known now of a point that came on a disk; null: it is what the primary had. */
  async trust(state: StateId, seed: SeedTrust | null): Promise<void> {
    const record = this.#record;
    if (record === null) return;
    const points = record.points.map((point): PointRecord => {
      if (point.state.id !== state) return point;
      const { appliedAt, blocks, account, increment } = point;
      const kept = account === undefined ? {} : { account };
      return { state: point.state, appliedAt, blocks, ...kept, ...(seed !== null && { seed }), increment };
    });
    await this.replaceRecord({ ...record, points });
  }

  open(state: StateId, image: Image | null, isChecked: boolean): StateReader {
    const record = this.#record;
    const place = record?.points.findIndex((point) => point.state.id === state) ?? -1;
    const point = record?.points[place];
    if (record === null || image === null || point === undefined) {
      throw new StoreError(
        'unknown-point',
        `${this.#context.name} has no state ${state}`,
        'see the restore points it has',
      );
    }
    const links = record.points
      .slice(place)
      .flatMap(({ increment, state: { id } }) => (increment === null ? [] : { name: increment, older: id }));
    if (this.#pending !== null) links.push(this.#pending);
    const reader = new ChainReader(point.state, record.blockSize, links, image, this.shelf, isChecked);
    this.#readers.add(reader);
    return {
      state: reader.state,
      blockSize: reader.blockSize,
      read: (into, position) => reader.read(into, position),
      nextData: (from) => reader.nextData(from),
      close: async () => {
        this.#readers.delete(reader);
        await reader.close();
      },
    };
  }

  /** See `VolumeStore.removePoints`. */
  removePoints(states: ReadonlySet<StateId>, signal?: AbortSignal): Promise<readonly RestorePoint[]> {
    const stop = AbortSignal.any([this.#closing.signal, ...(signal === undefined ? [] : [signal])]);
    return this.#removals.run(async () => {
      if (this.#inDoubt.length > 0) {
        await this.#context.change(() => this.replaceRecord(this.#record as VolumeRecord));
      }
      const open = new Set([...this.#readers].map((reader) => reader.state.id));
      const unwanted = new Set([...states].filter((state) => !open.has(state)));
      const removed: RestorePoint[] = [];
      let failure: unknown = null;
      for (const step of planRemoval(this.#record?.points ?? [], unwanted)) {
        stop.throwIfAborted();
        try {
          await this.#remove(step, stop);
          removed.push(...step.removed);
        } catch (cause) {
          // What keeps one step back, such as a damaged increment, need not keep the others.
          failure ??= cause;
        }
      }
      if (failure !== null) throw failure as Error;
      return removed.map(withoutIncrement);
    });
  }

  /** Removes increments that belong to no point: of attempts that were cut short. */
  removeOrphans(pending: string | null): Promise<void> {
    const names = (this.#record?.points ?? []).map(({ increment }) => increment);
    return this.shelf.removeOthers(new Set([...names, pending].filter((name) => name !== null)));
  }

  /** Stops a removal under way; what it has not done is done another time. */
  async stop(): Promise<void> {
    this.#closing.abort(new StoreError('closed', 'the store is closed'));
    await this.#removals.run(() => Promise.resolve());
  }

  /** Readers fail from now on. */
  async close(): Promise<void> {
    for (const reader of this.#readers) await reader.close();
    await this.shelf.close();
  }

  async #remove({ older, removed, newer }: RemovalStep, signal: AbortSignal): Promise<void> {
    const { blockSize } = this.#record as VolumeRecord;
    const merged = older === null ? null : await this.#merge([older, ...removed], newer, blockSize, signal);
    await this.#context.change(async () => {
      const record = this.#record as VolumeRecord;
      const gone = new Set(removed.map(({ state }) => state.id));
      const points = record.points
        .filter(({ state }) => !gone.has(state.id))
        .map((point) => (point.state.id === older?.state.id ? { ...point, increment: merged } : point));
      const touched = [older, ...removed].map((point) => point?.increment ?? null);
      this.#inDoubt.push(...[merged, ...touched].filter((name) => name !== null));
      await this.replaceRecord({ ...record, points });
    });
  }

  /** The name of a new increment that leads from `newer` back over `points`, oldest first, to the oldest of them. */
  async #merge(
    points: readonly PointRecord[],
    newer: StateId,
    blockSize: number,
    signal: AbortSignal,
  ): Promise<string> {
    const name = randomId(this.#context.random);
    const links = points.map(({ increment, state }) => ({ name: increment as string, older: state.id }));
    const older = (points[0] as PointRecord).state;
    await mergeIncrements(this.shelf, links, name, { older, newer, blockSize }, signal);
    return name;
  }
}

const withoutIncrement = ({ state, appliedAt, blocks, account, seed }: RestorePoint): RestorePoint => ({
  state,
  appliedAt,
  blocks,
  ...(account !== undefined && { account }),
  ...(seed !== undefined && { seed }),
});
