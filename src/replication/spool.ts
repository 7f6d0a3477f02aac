import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { MAX_PARCEL_ENCODED, type ParcelRun } from '../../protocol/parcel/parcel.js';
import type { SpooledParcel } from '../../protocol/session/set-transfer.js';
import { byteCount, parcelId } from '../../protocol/units.js';
import type { BlockIndex, ParcelId, StateId } from '../../protocol/units.js';
import { FileError, type Files } from '../platform/files.js';
import { randomId, type Random } from '../platform/random.js';
import { SerialQueue } from '../platform/serial-queue.js';
import { nothingCovered, type Coverage, type Stretch } from './coverage.js';
import { ReplicationError } from './errors.js';
import type { MeasuredParcel } from '../encoding/address-share.js';
import type { EncodedParcel } from './parcel-encoding.js';
import { runsOf, sumUp } from './set-entries.js';
import {
  afterStep,
  headLine,
  readLog,
  stepLine,
  turned,
  workOf,
  type EarlierTarget,
  type RecordedParcel,
  type SetRecord,
  type SpoolStep,
} from './spool-record.js';

/**
 * The set of one volume that travels to one backup, encoded and on disk. A parcel is synced before it is known, so a
 * restart sends the very same bytes; `set.log`, appended to after the parcel's files (`spool-record`), decides which
 * parcels exist. Layout: `set.log`, `<parcel>.parcel` (encoded bytes), `<parcel>.entries` (its part of the set's digest);
 * `<parcel>.again` in the place of the first, if it was encoded again.
 */
export class Spool {
  readonly #folder: string;
  readonly #files: Files;
  readonly #random: Random;
  #record: SetRecord | null = null;
  readonly #parcels = new Map<ParcelId, RecordedParcel>();
  /** Parcels are added, and encoded again, side by side. */
  readonly #lines = new SerialQueue();
  /** Where the next line goes; null: what is in the file is in doubt, and it is made anew with the next line. */
  #end: number | null = null;

  /** Reads what an earlier run left; a damaged or foreign record counts as none. */
  static async open(folder: string, files: Files, random: Random): Promise<Spool> {
    await files.makeFolder(folder);
    const spool = new Spool(folder, files, random);
    await spool.#load();
    await spool.#removeStrays();
    return spool;
  }

  private constructor(folder: string, files: Files, random: Random) {
    this.#folder = folder;
    this.#files = files;
    this.#random = random;
  }

  /** The set in the spool; null: none. */
  get set(): SpooledSet | null {
    const record = this.#record;
    return record === null ? null : { ...record, work: workOf(record) };
  }

  /** Begins a new set; what was spooled before is removed. `offered`: the backup may have heard of its target before. */
  async begin(from: StateId | null, to: StateId, blocks: number, offered = false): Promise<void> {
    await this.discard();
    await this.#replace({
      from,
      to,
      blocks,
      offered,
      parcels: [],
      earlier: [],
      coverage: nothingCovered(from),
      digest: null,
    });
  }

  /**
   * Turns the set to another target; of its parcels the first `kept` stay. `count` tells how many blocks are left to be
   * gathered, about.
   */
  async turn(to: StateId, kept: number, count: (coverage: Coverage) => Promise<number>): Promise<void> {
    const record = turned(this.#current(), to, kept);
    const blocks = record.parcels.reduce((sum, parcel) => sum + parcel.blocks, 0);
    await this.#replace({ ...record, blocks: blocks + (await count(record.coverage)) });
    await this.#removeStrays();
  }

  /**
   * Keeps an encoded parcel; durable when it resolves. `upTo` is where gathering goes on within the stretch that is
   * being gathered, null at its end; `id` names it.
   */
  async add(
    parcel: EncodedParcel,
    { blocks, upTo }: { readonly blocks: number; readonly upTo: BlockIndex | null },
    id = this.newId(),
  ): Promise<SpooledParcel> {
    this.#current();
    await this.#writeFile(`${id}.parcel`, parcel.encoded);
    await this.#writeFile(`${id}.entries`, parcel.entries);
    await this.#files.syncFolder(this.#folder);
    const added = {
      id,
      length: byteCount(parcel.encoded.byteLength),
      digest: Uint8Array.from(parcel.digest),
      blocks,
      check: crc32(parcel.encoded),
      entriesCheck: crc32(parcel.entries),
      addresses: parcel.addresses,
    };
    await this.#take({ kind: 'parcel', parcel: added, upTo });
    return added;
  }

  /** An id for a parcel that is to be added. */
  newId(): ParcelId {
    return parcelId(randomId(this.#random));
  }

  /** Keeps other encoded bytes in the place of a parcel's; durable when it resolves. The content is the same. */
  async replace(id: ParcelId, { encoded, addresses }: MeasuredParcel): Promise<SpooledParcel> {
    this.#current();
    await this.#writeFile(`${id}.again`, encoded);
    await this.#files.syncFolder(this.#folder);
    const length = byteCount(encoded.byteLength);
    await this.#take({ kind: 'again', id, length, check: crc32(encoded), addresses });
    const replaced = this.#record?.parcels.find((parcel) => parcel.id === id);
    if (replaced === undefined)
      throw new ReplicationError('spool-damaged', `parcel ${id} is not in the spool`);
    this.#parcels.set(id, replaced);
    await this.#files.remove(join(this.#folder, `${id}.parcel`));
    return replaced;
  }

  /** The blocks of a parcel, as it is in the set's digest. Fails with `spool-damaged`. */
  async runs({ id }: SpooledParcel): Promise<readonly ParcelRun[]> {
    const entries = await this.#readFile(`${id}.entries`, MAX_ENTRIES_BYTES);
    if (crc32(entries) !== this.#parcels.get(id)?.entriesCheck) throw damaged(`${id}.entries`);
    return runsOf(entries);
  }

  /** Gathering has come as far as `upTo` without finding a block; null: to the end of the stretch. */
  async skipTo(upTo: BlockIndex | null): Promise<void> {
    await this.#take({ kind: 'skip', upTo });
  }

  /** The set is about to be offered to the backup; durable when it resolves. */
  async noteOffered(): Promise<void> {
    if (!this.#current().offered) await this.#take({ kind: 'offered' });
  }

  /** All parcels are there: makes the set's digest. Fails with `spool-damaged`. */
  async finish(): Promise<Uint8Array> {
    const record = this.#current();
    if (record.digest !== null) return record.digest;
    const { digest, blocks } = await sumUp(record.parcels.length, async (index) => {
      const { id, entriesCheck } = record.parcels[index] as RecordedParcel;
      const entries = await this.#readFile(`${id}.entries`, MAX_ENTRIES_BYTES);
      if (crc32(entries) !== entriesCheck) throw damaged(`${id}.entries`);
      return entries;
    });
    await this.#take({ kind: 'complete', digest: Uint8Array.from(digest), blocks });
    return digest;
  }

  /** The encoded bytes of a parcel. Fails with `spool-damaged`. */
  async read(parcel: SpooledParcel): Promise<Uint8Array> {
    const known = this.#parcels.get(parcel.id);
    const name = `${parcel.id}.${known?.again === true ? 'again' : 'parcel'}`;
    const bytes = await this.#readFile(name, MAX_PARCEL_ENCODED);
    if (known === undefined || crc32(bytes) !== known.check) throw damaged(name);
    return bytes;
  }

  /** Forgets the set. */
  async discard(): Promise<void> {
    this.#set(null);
    this.#end = null;
    await this.#files.remove(join(this.#folder, LOG));
    await this.#files.syncFolder(this.#folder);
    await this.#removeStrays();
  }

  #current(): SetRecord {
    if (this.#record === null) throw new ReplicationError('spool-damaged', 'no set is in the spool');
    return this.#record;
  }

  #set(record: SetRecord | null): void {
    this.#record = record;
    this.#parcels.clear();
    for (const parcel of record?.parcels ?? []) this.#parcels.set(parcel.id, parcel);
  }

  async #load(): Promise<void> {
    const bytes = await this.#files
      .readWhole(join(this.#folder, LOG), MAX_LOG_BYTES)
      .catch((error: unknown) => {
        if (error instanceof FileError && error.code === 'not-found') return new Uint8Array();
        throw error;
      });
    const log = readLog(bytes);
    // What is lost at the end may have said that it was offered.
    const isCut = log?.isWhole === false;
    this.#set(isCut ? { ...log.record, offered: true } : (log?.record ?? null));
    this.#end = log?.isWhole === true ? bytes.byteLength : null;
  }

  async #replace(record: SetRecord): Promise<void> {
    const head = headLine(record);
    this.#end = null;
    await this.#files.replace(join(this.#folder, LOG), head);
    this.#end = head.byteLength;
    this.#set(record);
  }

  /** Adds a line; durable when it resolves. After a failure the file may end in half of one. */
  #take(step: SpoolStep): Promise<void> {
    return this.#lines.run(() => this.#takeNow(step));
  }

  async #takeNow(step: SpoolStep): Promise<void> {
    const record = this.#current();
    if (this.#end === null) await this.#replace(record);
    const at = this.#end ?? 0;
    const bytes = stepLine(step);
    this.#end = null;
    const file = await this.#files.open(join(this.#folder, LOG), 'read-write');
    try {
      await file.write(bytes, at);
      await file.sync();
    } finally {
      await file.close();
    }
    this.#end = at + bytes.byteLength;
    this.#record = afterStep(record, step);
    const added = step.kind === 'parcel' ? this.#record.parcels.at(-1) : undefined;
    if (added !== undefined) this.#parcels.set(added.id, added);
  }

  async #readFile(name: string, limit: number): Promise<Uint8Array> {
    try {
      return await this.#files.readWhole(join(this.#folder, name), limit);
    } catch (cause) {
      throw damaged(name, cause);
    }
  }

  async #writeFile(name: string, content: Uint8Array): Promise<void> {
    const file = await this.#files.open(join(this.#folder, name), 'create');
    try {
      await file.truncate(0);
      await file.write(content, 0);
      await file.sync();
    } finally {
      await file.close();
    }
  }

  async #removeStrays(): Promise<void> {
    for (const name of await this.#files.list(this.#folder)) {
      const [, id, kind] = /^([0-9a-f]{32})\.(parcel|again|entries)$/.exec(name) ?? [];
      const parcel = id === undefined ? undefined : this.#parcels.get(parcelId(id));
      const isStale = kind === (parcel?.again === true ? 'parcel' : 'again');
      const isKnown = parcel !== undefined && !isStale;
      if (name !== LOG && !isKnown) await this.#files.remove(join(this.#folder, name));
    }
  }
}

/** A spooled set: what travels, how far encoding has come, and the digest once it is complete. */
export interface SpooledSet {
  readonly from: StateId | null;
  readonly to: StateId;
  /** Blocks in the set; an estimate while it is not complete. */
  readonly blocks: number;
  readonly parcels: readonly RecordedParcel[];
  /** It was perhaps offered to the backup. */
  readonly offered: boolean;
  /** The targets that it had before, oldest first. */
  readonly earlier: readonly EarlierTarget[];
  /** As of which state the backup will have each block when it holds what is spooled. */
  readonly coverage: Coverage;
  /** What is to be gathered next; null: all is. */
  readonly work: Stretch | null;
  readonly digest: Uint8Array | null;
}

const damaged = (name: string, cause?: unknown): ReplicationError =>
  new ReplicationError('spool-damaged', `${name} in the spool is damaged`, { cause });

const LOG = 'set.log';
const MAX_LOG_BYTES = 512 << 20;
/** A parcel of 512-byte blocks: 16 bytes a block, and a head for each run. */
const MAX_ENTRIES_BYTES = 16 << 20;
