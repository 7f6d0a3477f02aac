import * as z from 'zod';
import type { Range } from '../ranges.js';
import { LINE_KINDS, type LineKinds, type SetAccount } from '../set-account.js';
import { GRADES, type StateInfo } from '../state.js';
import {
  byteCount,
  groupId,
  idBytes,
  idHex,
  isBlockSize,
  parcelId,
  stateId,
  volumeId,
  wallTime,
  type ParcelId,
  type StateId,
  type VolumeId,
} from '../units.js';
import {
  MAX_ASKED_NODES,
  MAX_HELD_RANGES,
  MAX_NAME_LENGTH,
  MAX_PARTIAL_PARCELS,
  MAX_TEXT_LENGTH,
} from './limits.js';
import type { CaptureSummary, CopyStatus, KeptCapture } from './message.js';

/**
 * The fields of messages: for each a schema that takes what a peer sent, within its bound, and a function that packs what
 * is to be sent, cut to that bound where the rest may be left out.
 */

export const zBytesOf = (length: number): z.ZodType<Uint8Array> =>
  z.instanceof(Uint8Array).refine((value) => value.byteLength === length);
const id16 = zBytesOf(16).transform(idHex);
export const zStateId = id16.transform(stateId);
const zGroupId = id16.transform(groupId);
export const zParcelId = id16.transform(parcelId);
export const zVolumeId = id16.transform(volumeId);
/** Half of an incarnation: enough to tell it from others. */
const OPENING_BYTES = 8;
export const zNatural = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
export const zByteCount = zNatural.transform(byteCount);
export const zName = z.string().min(1).max(MAX_NAME_LENGTH);
export const zText = z.string().max(MAX_TEXT_LENGTH);
export const zBlockSize = zNatural.refine(isBlockSize);

export const zState = z
  .tuple([
    zStateId,
    zStateId.nullable(),
    zNatural,
    zNatural,
    zNatural.max(GRADES.length - 1),
    zByteCount,
    zText.nullable(),
    zGroupId.optional(),
  ])
  .transform(([id, parent, ordinal, time, grade, size, note, group]): StateInfo => ({
    id,
    parent,
    ordinal,
    time: wallTime(time),
    grade: GRADES[grade] ?? 'crash',
    size,
    ...(note !== null && { note }),
    ...(group !== undefined && { group }),
  }));

export const packState = (state: StateInfo): unknown[] => [
  idBytes(state.id),
  state.parent === null ? null : idBytes(state.parent),
  state.ordinal,
  state.time,
  GRADES.indexOf(state.grade),
  state.size,
  state.note?.slice(0, MAX_TEXT_LENGTH) ?? null,
  ...(state.group === undefined ? [] : [idBytes(state.group)]),
];

/** Ranges travel as alternating gap and length, which are small numbers. */
export const zRangesUpTo = (limit: number): z.ZodType<readonly Range[]> =>
  z
    .array(zNatural)
    .max(2 * limit)
    .transform((steps, context) => {
      const ranges: { start: number; end: number }[] = [];
      let at = 0;
      for (let i = 0; i + 1 < steps.length; i += 2) {
        const start = at + (steps[i] ?? 0);
        at = start + (steps[i + 1] ?? 0);
        ranges.push({ start, end: at });
      }
      if (steps.length % 2 !== 0 || !Number.isSafeInteger(at)) context.addIssue('bad ranges');
      return ranges;
    });

const zRanges = zRangesUpTo(MAX_HELD_RANGES);

export function packRanges(ranges: readonly Range[]): number[] {
  let at = 0;
  return ranges.flatMap(({ start, end }) => {
    const step = [start - at, end - start];
    at = end;
    return step;
  });
}

const zCapture = z
  .tuple([
    zStateId.nullable(),
    zStateId,
    z.boolean(),
    zNatural,
    zBytesOf(16),
    z.array(z.tuple([zParcelId, zRanges])).max(MAX_PARTIAL_PARCELS),
  ])
  .transform(([from, to, durable, whole, wholeDigest, partial]): CaptureSummary => ({
    from,
    to,
    durable,
    whole,
    wholeDigest,
    partial: partial.map(([id, held]) => ({ id, held })),
  }));

const packCapture = (capture: CaptureSummary): unknown[] => [
  packId(capture.from),
  idBytes(capture.to),
  capture.durable,
  capture.whole,
  capture.wholeDigest,
  capture.partial
    .slice(0, MAX_PARTIAL_PARCELS)
    .map(({ id, held }) => [idBytes(id), packRanges(held.slice(0, MAX_HELD_RANGES))]),
];

export const packId = (id: StateId | VolumeId | ParcelId | null): Uint8Array | null =>
  id === null ? null : idBytes(id);

export const zOpening = zBytesOf(OPENING_BYTES).transform((value) => Buffer.from(value).toString('hex'));
export const packOpening = (opening: string): Uint8Array => Buffer.from(opening, 'hex');

export const copyFields = [
  zName,
  zVolumeId.nullable(),
  zStateId.nullable(),
  zCapture.nullable(),
  zOpening.optional(),
] as const;
export const toCopy = (
  volume: string,
  volume_id: VolumeId | null,
  state: StateId | null,
  capture: CaptureSummary | null,
  opening?: string,
): CopyStatus => ({
  ...{ kind: 'copy-status', volume, volumeId: volume_id, state, capture },
  ...(opening !== undefined && { opening }),
});
export const packCopy = (copy: CopyStatus): unknown[] => [
  copy.volume,
  packId(copy.volumeId),
  packId(copy.state),
  copy.capture === null ? null : packCapture(copy.capture),
  ...(copy.opening === undefined ? [] : [packOpening(copy.opening)]),
];

/** Nodes travel as the steps between them. */
export const zNodes = z
  .array(zNatural)
  .max(MAX_ASKED_NODES)
  .transform((steps, context) => {
    let at = 0;
    const nodes = steps.map((step) => (at += step));
    if (!Number.isSafeInteger(at)) context.addIssue('bad nodes');
    return nodes;
  });
export const packNodes = (nodes: readonly number[]): number[] =>
  nodes.map((node, index) => node - (nodes[index - 1] ?? 0));

export const zDigests = z
  .instanceof(Uint8Array)
  .refine((value) => value.byteLength % 16 === 0 && value.byteLength <= 16 * MAX_ASKED_NODES);

export const zKept = z
  .tuple([zStateId, zNatural, zBytesOf(16), z.array(zParcelId).max(MAX_PARTIAL_PARCELS)])
  .transform(([to, whole, wholeDigest, partial]): KeptCapture => ({ to, whole, wholeDigest, partial }));
export const packKept = ({ to, whole, wholeDigest, partial }: KeptCapture): unknown[] => [
  idBytes(to),
  whole,
  wholeDigest,
  partial.slice(0, MAX_PARTIAL_PARCELS).map(idBytes),
];
export const offerFields = [zName, zVolumeId, zBlockSize, zStateId.nullable(), zState] as const;

/** Bytes written by clients, then both directions, each kind by kind, then what of the parcels are addresses. */
export const zAccount = z
  .tuple([
    zNatural.nullable(),
    z
      .array(zNatural)
      .length(2 * LINE_KINDS.length)
      .nullable(),
    zNatural.optional(),
  ])
  .transform(([written, numbers, addresses]): SetAccount => {
    const kinds = (at: number): LineKinds => {
      const [data = 0, control = 0, repeated = 0, handshake = 0] = numbers?.slice(at) ?? [];
      return { data, control, repeated, handshake };
    };
    return {
      written,
      line: numbers === null ? null : { toBackup: kinds(0), toPrimary: kinds(LINE_KINDS.length) },
      ...(addresses !== undefined && { addresses }),
    };
  });
export const packAccount = ({ written, line, addresses }: SetAccount): unknown[] => [
  written,
  line === null
    ? null
    : [line.toBackup, line.toPrimary].flatMap((kinds) => LINE_KINDS.map((kind) => kinds[kind])),
  ...(addresses === undefined ? [] : [addresses]),
];
