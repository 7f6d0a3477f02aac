import { crc32 } from 'node:zlib';
import * as z from 'zod';
import type { SpooledParcel } from '../../protocol/session/set-transfer.js';
import {
  blockIndex,
  byteCount,
  parcelId,
  stateId,
  type BlockIndex,
  type ByteCount,
} from '../../protocol/units.js';
import type { ParcelId, StateId } from '../../protocol/units.js';
import { covered, nextStretch, type Coverage, type Stretch } from './coverage.js';

/*
 * `set.log` in the spool: lines of `<JSON> <CRC-32 in hex>\n`. The first tells a set as it was when the file was made,
 * each further one a step since. What does not check, and all behind it, was never kept.
 */

/** A set as the spool keeps it. */
export interface SetRecord {
  readonly from: StateId | null;
  readonly to: StateId;
  /** Blocks in the set: an estimate while it is gathered, then what it is. */
  readonly blocks: number;
  /** It was perhaps offered to the backup. */
  readonly offered: boolean;
  /** Grows in place: there may be a million. */
  readonly parcels: RecordedParcel[];
  /** The targets that the set had before, oldest first, each with all parcels that it had then. */
  readonly earlier: readonly EarlierTarget[];
  readonly coverage: Coverage;
  /** Of the set; null: it is not complete. */
  readonly digest: Uint8Array | null;
}

export interface RecordedParcel extends SpooledParcel {
  readonly blocks: number;
  /** CRC-32 of the parcel's files: a bit that rots here would otherwise cost the line the parcel, again and again. */
  readonly check: number;
  readonly entriesCheck: number;
  /** Of its encoded bytes; absent in spools of before they were told apart. */
  readonly addresses?: number | undefined;
  /** It was encoded again: its bytes are in `<parcel>.again`. */
  readonly again?: true | undefined;
  /** The blocks that it was gathered from, and as of which state the far side had them before. */
  readonly part: Stretch;
}

export interface EarlierTarget {
  readonly to: StateId;
  readonly parcels: readonly ParcelId[];
}

/** One step of a set. `upTo` null: to the end of the stretch that was being gathered. */
export type SpoolStep =
  | {
      readonly kind: 'parcel';
      readonly parcel: Omit<RecordedParcel, 'part'>;
      readonly upTo: BlockIndex | null;
    }
  | {
      readonly kind: 'again';
      readonly id: ParcelId;
      readonly length: ByteCount;
      readonly check: number;
      readonly addresses?: number | undefined;
    }
  | { readonly kind: 'skip'; readonly upTo: BlockIndex | null }
  | { readonly kind: 'offered' }
  | { readonly kind: 'complete'; readonly digest: Uint8Array; readonly blocks: number };

/** What is to be gathered next; null: all is gathered. */
export const workOf = ({ coverage, from, to, earlier }: SetRecord): Stretch | null =>
  nextStretch(coverage, to, [from, ...earlier.map((target) => target.to)]);

/** The set after a step; the record before it is not to be used any more. */
export function afterStep(record: SetRecord, step: SpoolStep): SetRecord {
  switch (step.kind) {
    case 'parcel': {
      const part = gathered(record, step.upTo);
      const coverage = covered(record.coverage, { ...part, asOf: record.to });
      record.parcels.push({ ...step.parcel, part });
      return { ...record, coverage };
    }
    case 'again': {
      const { id, length, check, addresses } = step;
      const place = record.parcels.findIndex((parcel) => parcel.id === id);
      const parcel = record.parcels[place];
      if (parcel !== undefined) record.parcels[place] = { ...parcel, length, check, addresses, again: true };
      return record;
    }
    case 'skip': {
      const part = gathered(record, step.upTo);
      return { ...record, coverage: covered(record.coverage, { ...part, asOf: record.to }) };
    }
    case 'offered':
      return { ...record, offered: true };
    case 'complete':
      return { ...record, digest: step.digest, blocks: step.blocks };
    default:
      step satisfies never;
      return record;
  }
}

/**
 * The set turned to another target, with the first `kept` parcels: where a parcel is dropped, its blocks are as they
 * were before it; where one is kept, they are as of the target until now.
 */
export function turned(record: SetRecord, to: StateId, kept: number): SetRecord {
  const coverage = record.parcels
    .slice(kept)
    .reduceRight<Coverage>((left, { part }) => covered(left, part), record.coverage);
  const until = { to: record.to, parcels: record.parcels.map(({ id }) => id) };
  const earlier = [...record.earlier, until];
  const parcels = record.parcels.slice(0, kept);
  return { ...record, to, parcels, earlier, coverage, digest: null };
}

function gathered(record: SetRecord, upTo: BlockIndex | null): Stretch {
  const work = workOf(record);
  if (work === null) throw new Error('a set that is gathered whole has gained a part');
  return { ...work, end: upTo ?? work.end };
}

const FORMAT = 'farcopy spool 2';

const zDigest = z.string().transform((text) => new Uint8Array(Buffer.from(text, 'base64')));
const zState = z.string().transform(stateId);
const zId = z.string().transform(parcelId);
const zBlock = z.number().transform(blockIndex);
const zStretch = z.strictObject({ start: zBlock, end: zBlock.nullable(), asOf: zState.nullable() });
const parcelFields = {
  id: zId,
  length: z.number().transform(byteCount),
  digest: zDigest,
  blocks: z.number().int(),
  check: z.number().int(),
  entriesCheck: z.number().int(),
  addresses: z.number().int().optional(),
};
const zSet = z.strictObject({
  from: zState.nullable(),
  to: zState,
  blocks: z.number().int(),
  offered: z.boolean(),
  parcels: z.array(z.strictObject({ ...parcelFields, again: z.literal(true).optional(), part: zStretch })),
  earlier: z.array(z.strictObject({ to: zState, parcels: z.array(zId) })),
  coverage: z.array(zStretch),
  digest: zDigest.nullable(),
});
const zHead = z.strictObject({ format: z.literal(FORMAT), set: zSet });
const zStep = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('parcel'),
    parcel: z.strictObject(parcelFields),
    upTo: zBlock.nullable(),
  }),
  z.strictObject({
    kind: z.literal('again'),
    id: zId,
    length: parcelFields.length,
    check: parcelFields.check,
    addresses: parcelFields.addresses,
  }),
  z.strictObject({ kind: z.literal('skip'), upTo: zBlock.nullable() }),
  z.strictObject({ kind: z.literal('offered') }),
  z.strictObject({ kind: z.literal('complete'), digest: zDigest, blocks: z.number().int() }),
]);

/** The first line: all of a set. */
export const headLine = (record: SetRecord): Uint8Array => line({ format: FORMAT, set: record });

/** A further line. */
export const stepLine = (step: SpoolStep): Uint8Array => line(step);

/** What a log tells; `isWhole`: down to its last byte. null: nothing. */
export function readLog(bytes: Uint8Array): { readonly record: SetRecord; readonly isWhole: boolean } | null {
  const log = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let record: SetRecord | null = null;
  let at = 0;
  while (at < log.byteLength) {
    const end = log.indexOf(NEWLINE, at);
    const value = end < 0 ? undefined : checkedLine(log.subarray(at, end));
    if (value === undefined) break;
    if (record === null) {
      record = headOf(value);
      if (record === null) return null;
    } else {
      const step = zStep.safeParse(value);
      if (!step.success) return null;
      record = afterStep(record, step.data);
    }
    at = end + 1;
  }
  return record === null ? null : { record, isWhole: at === log.byteLength };
}

const NEWLINE = 0x0a;
const CHECK_DIGITS = 8;

function line(value: object): Uint8Array {
  const json = JSON.stringify(value, function (this: Readonly<Record<string, unknown>>, key, field: unknown) {
    // A Buffer has turned itself into something else by now.
    const bytes = this[key];
    return bytes instanceof Uint8Array ? Buffer.from(bytes).toString('base64') : field;
  });
  return Buffer.from(`${json} ${checkOf(json)}\n`);
}

const checkOf = (json: string | Uint8Array): string => crc32(json).toString(16).padStart(CHECK_DIGITS, '0');

function checkedLine(text: Buffer): unknown {
  const json = text.subarray(0, -CHECK_DIGITS - 1);
  const check = text.subarray(-CHECK_DIGITS - 1).toString('latin1');
  return check === ` ${checkOf(json)}` ? (JSON.parse(json.toString('utf8')) as unknown) : undefined;
}

/** null: of another version. */
function headOf(value: unknown): SetRecord | null {
  return zHead.safeParse(value).data?.set ?? null;
}
