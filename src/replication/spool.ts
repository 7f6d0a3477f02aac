import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import * as z from 'zod';
import type { SpooledParcel } from '../../protocol/session/set-transfer.js';
import { SetDigest } from '../../protocol/parcel/set-digest.js';
import { MAX_PARCEL_ENCODED } from '../../protocol/parcel/parcel.js';
import {
  blockIndex,
  byteCount,
  parcelId,
  stateId,
  type BlockIndex,
  type StateId,
} from '../../protocol/units.js';
import { FileError, type Files } from '../platform/files.js';
import { randomId, type Random } from '../platform/random.js';
import { ReplicationError } from './errors.js';
import { replayEntries, type EncodedParcel } from './parcel-encoding.js';

/**
 * The set of one volume that travels to one backup, encoded and on disk. A parcel is synced before it is known, so a
 * restart sends the very same bytes; `set.json`, replaced atomically after the parcel's files, decides which parcels
 * exist. Layout: `set.json`, `<parcel>.parcel` (encoded bytes), `<parcel>.entries` (its part of the set's digest).
 */
export class Spool {
  readonly #folder: string;
  readonly #files: Files;
  readonly #random: Random;
  #record: SpoolRecord | null;

  /** Reads what an earlier run left; a damaged or foreign record counts as none. */
  static async open(folder: string, files: Files, random: Random): Promise<Spool> {
    await files.makeFolder(folder);
    const spool = new Spool(folder, files, random, await readRecord(join(folder, RECORD), files));
    await spool.#removeStrays();
    return spool;
  }

  private constructor(folder: string, files: Files, random: Random, record: SpoolRecord | null) {
    this.#folder = folder;
    this.#files = files;
    this.#random = random;
    this.#record = record;
  }

  /** The set in the spool; null: none. */
  get set(): SpooledSet | null {
    return this.#record;
  }

  /** Begins a new set; what was spooled before is removed. */
  async begin(from: StateId | null, to: StateId, blocks: number): Promise<void> {
    await this.discard();
    await this.#write({ format: FORMAT, from, to, blocks, parcels: [], next: blockIndex(0), digest: null });
  }

  /** Keeps an encoded parcel; durable when it resolves. `next` is where gathering goes on, null at the set's end. */
  async add(
    parcel: EncodedParcel,
    coverage: { readonly blocks: number; readonly next: BlockIndex | null },
  ): Promise<void> {
    const record = this.#current();
    const id = parcelId(randomId(this.#random));
    await this.#writeFile(`${id}.parcel`, parcel.encoded);
    await this.#writeFile(`${id}.entries`, parcel.entries);
    await this.#files.syncFolder(this.#folder);
    const entry = {
      id,
      length: byteCount(parcel.encoded.byteLength),
      digest: parcel.digest,
      blocks: coverage.blocks,
      check: crc32(parcel.encoded),
      entriesCheck: crc32(parcel.entries),
    };
    await this.#write({ ...record, parcels: [...record.parcels, entry], next: coverage.next });
  }

  /** Gathering has come as far as `next` without finding a block. */
  async skipTo(next: BlockIndex): Promise<void> {
    await this.#write({ ...this.#current(), next });
  }

  /** All parcels are there: makes the set's digest. Fails with `spool-damaged`. */
  async finish(): Promise<Uint8Array> {
    const record = this.#current();
    if (record.digest !== null) return record.digest;
    const digest = new SetDigest();
    for (const { id, entriesCheck } of record.parcels) {
      const entries = await this.#readFile(`${id}.entries`, MAX_ENTRIES_BYTES);
      if (crc32(entries) !== entriesCheck) throw damaged(`${id}.entries`);
      replayEntries(entries, digest);
    }
    const finished = digest.finish();
    await this.#write({ ...record, next: null, digest: finished });
    return finished;
  }

  /** The encoded bytes of a parcel. Fails with `spool-damaged`. */
  async read(parcel: SpooledParcel): Promise<Uint8Array> {
    const name = `${parcel.id}.parcel`;
    const bytes = await this.#readFile(name, MAX_PARCEL_ENCODED);
    const known = this.#record?.parcels.find(({ id }) => id === parcel.id);
    if (known === undefined || crc32(bytes) !== known.check) throw damaged(name);
    return bytes;
  }

  /** Forgets the set. */
  async discard(): Promise<void> {
    this.#record = null;
    await this.#files.remove(join(this.#folder, RECORD));
    await this.#files.syncFolder(this.#folder);
    await this.#removeStrays();
  }

  #current(): SpoolRecord {
    if (this.#record === null) throw new ReplicationError('spool-damaged', 'no set is in the spool');
    return this.#record;
  }

  async #write(record: SpoolRecord): Promise<void> {
    await this.#files.replace(join(this.#folder, RECORD), encodeRecord(record));
    this.#record = record;
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
    const known = new Set(this.#record?.parcels.flatMap(({ id }) => [`${id}.parcel`, `${id}.entries`]));
    for (const name of await this.#files.list(this.#folder)) {
      if (name !== RECORD && !known.has(name)) await this.#files.remove(join(this.#folder, name));
    }
  }
}

/** A spooled set: what travels, how far encoding has come, and the digest once it is complete. */
export interface SpooledSet {
  readonly from: StateId | null;
  readonly to: StateId;
  /** Blocks in the set. */
  readonly blocks: number;
  readonly parcels: readonly (SpooledParcel & { readonly blocks: number })[];
  /** Where gathering goes on; null: all gathered. */
  readonly next: BlockIndex | null;
  readonly digest: Uint8Array | null;
}

interface SpoolRecord extends SpooledSet {
  readonly format: typeof FORMAT;
  readonly parcels: readonly RecordedParcel[];
}

interface RecordedParcel extends SpooledParcel {
  readonly blocks: number;
  /** CRC-32 of the parcel's files: a bit that rots here would otherwise cost the line the parcel, again and again. */
  readonly check: number;
  readonly entriesCheck: number;
}

const damaged = (name: string, cause?: unknown): ReplicationError =>
  new ReplicationError('spool-damaged', `${name} in the spool is damaged`, { cause });

const FORMAT = 'farcopy spool 1';
const RECORD = 'set.json';
const MAX_RECORD_BYTES = 64 << 20;
/** A parcel of 512-byte blocks: 16 bytes a block, and a head for each run. */
const MAX_ENTRIES_BYTES = 16 << 20;

const zDigest = z.string().transform((text) => new Uint8Array(Buffer.from(text, 'base64')));
const zRecord = z.strictObject({
  format: z.literal(FORMAT),
  from: z.string().transform(stateId).nullable(),
  to: z.string().transform(stateId),
  blocks: z.number().int(),
  parcels: z.array(
    z.strictObject({
      id: z.string().transform(parcelId),
      length: z.number().transform(byteCount),
      digest: zDigest,
      blocks: z.number().int(),
      check: z.number().int(),
      entriesCheck: z.number().int(),
    }),
  ),
  next: z.number().transform(blockIndex).nullable(),
  digest: zDigest.nullable(),
});

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

/** A line of JSON, and a line with its CRC-32 in hex. */
function encodeRecord(record: SpoolRecord): Uint8Array {
  const json = JSON.stringify({
    ...record,
    parcels: record.parcels.map((parcel) => ({ ...parcel, digest: base64(parcel.digest) })),
    digest: record.digest === null ? null : base64(record.digest),
  });
  return Buffer.from(`${json}\n${crc32(json).toString(16)}\n`);
}

function decodeRecord(bytes: Uint8Array): SpoolRecord | null {
  const [json, check] = Buffer.from(bytes).toString('utf8').split('\n');
  if (json === undefined || check !== crc32(json).toString(16)) return null;
  return zRecord.parse(JSON.parse(json));
}

async function readRecord(path: string, files: Files): Promise<SpoolRecord | null> {
  try {
    return decodeRecord(await files.readWhole(path, MAX_RECORD_BYTES));
  } catch (error) {
    if (error instanceof FileError && error.code !== 'not-found') throw error;
    return null;
  }
}
