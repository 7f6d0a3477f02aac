import { join } from 'node:path';
import type { Range } from '../../protocol/ranges.js';
import type { Files } from '../platform/files.js';
import { SerialQueue } from '../platform/serial-queue.js';
import type { Budget } from './budget.js';
import { ComparedMaps, numberOfComparedFile } from './compared-maps.js';
import { Epoch, epochOfFile, type EpochSurroundings } from './epoch.js';
import { prepareEpoch, withCompared, withoutEpochs } from './epoch-list.js';
import type { ChangeMap } from './change-map.js';
import { VolumeError } from './errors.js';
import { StateLeases } from './state-leases.js';
import {
  MAX_RECORD_BYTES,
  readEpochs,
  writeRecord,
  type ComparedEntry,
  type EpochsRecord,
} from './volume-record.js';

const RECORD_NAME = 'epochs.json';

/**
 * The epochs of a volume as they live in memory, and `epochs.json`, which decides which exist. The record changes on
 * disk first and in memory afterwards; only `open` moves ahead of it, at a seal.
 */
export class History {
  /** Reads of before-images and the removal or merging of epochs go through here, one at a time. */
  readonly readers = new SerialQueue();
  /** States that are being read by others than the owners of pins. */
  readonly leases = new StateLeases();
  readonly #updates = new SerialQueue();
  #record: EpochsRecord;
  #epochs: readonly Epoch[];
  readonly #compared: ComparedMaps;
  #sealPins = false;

  private constructor(
    readonly surroundings: EpochSurroundings,
    record: EpochsRecord,
    epochs: readonly Epoch[],
    compared: ComparedMaps,
  ) {
    this.#record = record;
    this.#epochs = epochs;
    this.#compared = compared;
  }

  static async create(surroundings: EpochSurroundings, record: EpochsRecord): Promise<History> {
    await removeStrangers(surroundings, new Set());
    const epochs: Epoch[] = [];
    for (const { number } of record.epochs) epochs.push(await Epoch.create(surroundings, number));
    await surroundings.files.replace(join(surroundings.folder, RECORD_NAME), writeRecord(record));
    return new History(surroundings, record, epochs, new ComparedMaps(surroundings));
  }

  /** Loads what an earlier process left. An epoch that was prepared and never sealed is just the open one. */
  static async load(surroundings: EpochSurroundings, record: EpochsRecord): Promise<History> {
    await removeStrangers(
      surroundings,
      new Set([...record.epochs, ...record.compared].map(({ number }) => number)),
    );
    const epochs: Epoch[] = [];
    for (const { number } of record.epochs) epochs.push(await Epoch.load(surroundings, number));
    for (const epoch of epochs.slice(0, -1)) epoch.settled = true;
    for (const epoch of epochs) {
      epoch.written = record.epochs.find(({ number }) => number === epoch.number)?.written ?? null;
    }
    const compared = new ComparedMaps(surroundings);
    for (const { number } of record.compared) await compared.load(number);
    return new History(surroundings, record, epochs, compared);
  }

  get record(): EpochsRecord {
    return this.#record;
  }

  get budget(): Budget {
    return this.surroundings.budget;
  }

  /** Oldest first; the last is the open one. */
  get epochs(): readonly Epoch[] {
    return this.#epochs;
  }

  /** The epoch to which a write admitted now belongs. */
  get open(): Epoch {
    return this.#epochs[this.#epochs.length - 1] as Epoch;
  }

  /** Could somebody ask what a block held before it is overwritten now. */
  get wantsBeforeImages(): boolean {
    return this.#sealPins || this.#record.pins.length > 0 || !this.leases.isEmpty;
  }

  /** A state that will be pinned is being sealed and has no name yet. */
  get isSealing(): boolean {
    return this.#sealPins;
  }

  epoch(number: number): Epoch {
    const epoch = this.#epochs.find((candidate) => candidate.number === number);
    if (epoch === undefined) throw new VolumeError('bad-state', `epoch ${number} is listed but not loaded`);
    return epoch;
  }

  /** The epochs from number `from` on, up to before number `to`; oldest first. */
  between(from: number, to: number): readonly Epoch[] {
    return this.#epochs.filter((epoch) => epoch.number >= from && epoch.number < to);
  }

  /** The epochs from number `from` on, with whatever was opened meanwhile; oldest first. */
  since(from: number): readonly Epoch[] {
    return this.#epochs.filter((epoch) => epoch.number >= from);
  }

  /** The epochs since the last state: only their marks and before-images may not be on stable storage. */
  unsettled(): readonly Epoch[] {
    const last = this.#record.epochs.findLast(({ start }) => start !== null)?.number ?? 0;
    return this.since(last);
  }

  /** How many blocks have changed since the last state; after a seal that failed, an upper bound. */
  get changedBlocks(): number {
    const counts = this.unsettled().map(({ map }) => map.count);
    return Math.min(
      this.surroundings.blocks,
      counts.reduce((sum, count) => sum + count, 0),
    );
  }

  /** The blocks that a compare has found to differ. */
  compared(number: number): ChangeMap {
    return this.#compared.map(number);
  }

  /**
   * Keeps what a compare has found: the blocks first, then the record that makes them count, with the owner's pin.
   * Killed in between, nothing has changed. `differing` is asked when no epoch is merged or dropped; its throw
   * changes nothing.
   */
  keepCompared(entry: Omit<ComparedEntry, 'number'>, differing: () => Iterable<Range>): Promise<void> {
    return this.readers.run(async () => {
      const number = await this.#compared.make(differing());
      await this.update((record) => withCompared(record, { ...entry, number }));
    });
  }

  /** Removes the maps of compares that the record has forgotten. */
  dropStaleCompared(): Promise<void> {
    return this.readers.run(() =>
      this.#compared.keepOnly(new Set(this.#record.compared.map(({ number }) => number))),
    );
  }

  /** Replaces the record by `change` of the current one; durable when it resolves. A throw changes nothing. */
  update(change: (record: EpochsRecord) => EpochsRecord): Promise<void> {
    return this.#updates.run(async () => {
      const next = change(this.#record);
      if (next === this.#record) return;
      try {
        await this.surroundings.files.replace(join(this.surroundings.folder, RECORD_NAME), writeRecord(next));
      } catch (cause) {
        throw new VolumeError(
          'io',
          `${this.surroundings.folder}: the list of epochs could not be written`,
          'check space and health of the disk that holds the state folder',
          { cause },
        );
      }
      this.#record = next;
    });
  }

  /** Makes the next epoch and lists it, durably, without opening it. */
  async prepare(): Promise<Epoch> {
    const epoch = await Epoch.create(this.surroundings, this.#record.nextEpoch);
    try {
      await this.update(prepareEpoch);
      return epoch;
    } catch (error) {
      await epoch.remove().catch(() => undefined);
      throw error;
    }
  }

  /** Takes a prepared epoch, never opened, off the record again. */
  async discard(epoch: Epoch): Promise<void> {
    await this.update((record) => withoutEpochs(record, new Set([epoch.number])));
    await epoch.remove();
  }

  /** Opens a prepared epoch, in one step. `isPinned`: its start is about to be pinned. */
  flip(epoch: Epoch, isPinned: boolean): void {
    this.#epochs = [...this.#epochs, epoch];
    this.#sealPins = isPinned;
  }

  /** The seal that flipped last has come to its end. */
  sealEnded(): void {
    this.#sealPins = false;
  }

  /**
   * Takes epochs off the record, with a further change of it, then deletes them. `isStill` looks at the record in the
   * same step; when it says no, nothing is done and the answer is false.
   */
  remove(
    numbers: ReadonlySet<number>,
    isStill: (record: EpochsRecord) => boolean,
    further: (record: EpochsRecord) => EpochsRecord = (record) => record,
  ): Promise<boolean> {
    return this.readers.run(async () => {
      await this.update((record) => (isStill(record) ? further(withoutEpochs(record, numbers)) : record));
      if (this.#record.epochs.some((epoch) => numbers.has(epoch.number))) return false;
      const gone = this.#epochs.filter((epoch) => numbers.has(epoch.number));
      this.#epochs = this.#epochs.filter((epoch) => !numbers.has(epoch.number));
      for (const epoch of gone) await epoch.remove();
      return true;
    });
  }

  async close(): Promise<void> {
    for (const epoch of this.#epochs) await epoch.close();
    await this.#compared.close();
  }
}

/** Reads `epochs.json`. Throws `bad-state`, also when it is absent. */
export async function readEpochsRecord(files: Files, folder: string): Promise<EpochsRecord> {
  const path = join(folder, RECORD_NAME);
  let bytes: Uint8Array;
  try {
    bytes = await files.readWhole(path, MAX_RECORD_BYTES);
  } catch (cause) {
    throw new VolumeError(
      'bad-state',
      `${path} cannot be read`,
      'restore the state folder, or remove it: the volume then begins anew with a full copy',
      { cause },
    );
  }
  return readEpochs(bytes, path);
}

/** Removes epoch files that the record does not list: left by a process that was killed in a seal or a merge. */
async function removeStrangers(
  { files, folder }: EpochSurroundings,
  listed: ReadonlySet<number>,
): Promise<void> {
  for (const name of await files.list(folder)) {
    const number = epochOfFile(name) ?? numberOfComparedFile(name);
    if (number !== null && !listed.has(number)) await files.remove(join(folder, name));
  }
}
