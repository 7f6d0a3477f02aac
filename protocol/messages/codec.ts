import { Decoder, Encoder } from 'cbor-x';
import * as z from 'zod';
import { ProtocolError } from '../errors.js';
import type { Range } from '../ranges.js';
import { GRADES, type StateInfo } from '../state.js';
import { LINE_KINDS, type LineKinds, type SetAccount } from '../set-account.js';
import {
  byteCount,
  groupId,
  idBytes,
  idHex,
  isBlockSize,
  MAX_BLOCKS,
  parcelId,
  stateId,
  volumeId,
  wallTime,
  type ParcelId,
  type StateId,
  type VolumeId,
} from '../units.js';
import { checkCborShape } from './cbor-shape.js';
import {
  MAX_ASKED_NODES,
  MAX_COMPARED_RANGES,
  MAX_HELD_RANGES,
  MAX_HELLO_COPIES,
  MAX_MESSAGE_BYTES,
  MAX_MISMATCH_RANGES,
  MAX_NAME_LENGTH,
  MAX_PARTIAL_PARCELS,
  MAX_TEXT_LENGTH,
} from './limits.js';
import {
  REFUSAL_CODES,
  type CaptureSummary,
  type CopyStatus,
  type Hello,
  type KeptCapture,
  type Message,
  type Offer,
} from './message.js';

/**
 * Messages as CBOR arrays: a kind number, then the fields in the order of the tables below. Arrays instead of maps
 * save a byte a field on a line where that counts; new fields go to the end.
 */

const options = {
  useRecords: false,
  tagUint8Array: false,
  variableMapSize: true,
  mapsAsObjects: false,
} as const;
const encoder = new Encoder(options);
const decoder = new Decoder(options);

const bytes = (length: number): z.ZodType<Uint8Array> =>
  z.instanceof(Uint8Array).refine((value) => value.byteLength === length);
const id16 = bytes(16).transform(idHex);
const zStateId = id16.transform(stateId);
const zGroupId = id16.transform(groupId);
const zParcelId = id16.transform(parcelId);
const zVolumeId = id16.transform(volumeId);
/** Half of an incarnation: enough to tell it from others. */
const OPENING_BYTES = 8;
const natural = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const zBytes = natural.transform(byteCount);
const name = z.string().min(1).max(MAX_NAME_LENGTH);
const text = z.string().max(MAX_TEXT_LENGTH);
const zBlockSize = natural.refine(isBlockSize);

const zState = z
  .tuple([
    zStateId,
    zStateId.nullable(),
    natural,
    natural,
    natural.max(GRADES.length - 1),
    zBytes,
    text.nullable(),
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

const packState = (state: StateInfo): unknown[] => [
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
const zRangesUpTo = (limit: number): z.ZodType<readonly Range[]> =>
  z
    .array(natural)
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

function packRanges(ranges: readonly Range[]): number[] {
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
    natural,
    bytes(16),
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

const packId = (id: StateId | VolumeId | ParcelId | null): Uint8Array | null =>
  id === null ? null : idBytes(id);

const zOpening = bytes(OPENING_BYTES).transform((value) => Buffer.from(value).toString('hex'));
const packOpening = (opening: string): Uint8Array => Buffer.from(opening, 'hex');

const copyFields = [
  name,
  zVolumeId.nullable(),
  zStateId.nullable(),
  zCapture.nullable(),
  zOpening.optional(),
] as const;
const toCopy = (
  volume: string,
  volume_id: VolumeId | null,
  state: StateId | null,
  capture: CaptureSummary | null,
  opening?: string,
): CopyStatus => ({
  ...{ kind: 'copy-status', volume, volumeId: volume_id, state, capture },
  ...(opening !== undefined && { opening }),
});
const packCopy = (copy: CopyStatus): unknown[] => [
  copy.volume,
  packId(copy.volumeId),
  packId(copy.state),
  copy.capture === null ? null : packCapture(copy.capture),
  ...(copy.opening === undefined ? [] : [packOpening(copy.opening)]),
];

/** Nodes travel as the steps between them. */
const zNodes = z
  .array(natural)
  .max(MAX_ASKED_NODES)
  .transform((steps, context) => {
    let at = 0;
    const nodes = steps.map((step) => (at += step));
    if (!Number.isSafeInteger(at)) context.addIssue('bad nodes');
    return nodes;
  });
const packNodes = (nodes: readonly number[]): number[] =>
  nodes.map((node, index) => node - (nodes[index - 1] ?? 0));

const zDigests = z
  .instanceof(Uint8Array)
  .refine((value) => value.byteLength % 16 === 0 && value.byteLength <= 16 * MAX_ASKED_NODES);

const zKept = z
  .tuple([zStateId, natural, bytes(16), z.array(zParcelId).max(MAX_PARTIAL_PARCELS)])
  .transform(([to, whole, wholeDigest, partial]): KeptCapture => ({ to, whole, wholeDigest, partial }));
const packKept = ({ to, whole, wholeDigest, partial }: KeptCapture): unknown[] => [
  idBytes(to),
  whole,
  wholeDigest,
  partial.slice(0, MAX_PARTIAL_PARCELS).map(idBytes),
];
const offerFields = [name, zVolumeId, zBlockSize, zStateId.nullable(), zState] as const;

/** Bytes written by clients, then both directions, each kind by kind, then what of the parcels are addresses. */
const zAccount = z
  .tuple([
    natural.nullable(),
    z
      .array(natural)
      .length(2 * LINE_KINDS.length)
      .nullable(),
    natural.optional(),
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
const packAccount = ({ written, line, addresses }: SetAccount): unknown[] => [
  written,
  line === null
    ? null
    : [line.toBackup, line.toPrimary].flatMap((kinds) => LINE_KINDS.map((kind) => kinds[kind])),
  ...(addresses === undefined ? [] : [addresses]),
];

const zMessage = z.union([
  z.tuple([z.literal(1), ...copyFields]).transform(([, ...fields]): Message => toCopy(...fields)),
  z
    .tuple([z.literal(2), ...offerFields, zKept.nullable().optional(), zOpening.optional()])
    .transform(([, volume, id, blockSize, from, to, keeps, opening]): Message => {
      return {
        ...{ kind: 'offer', volume, volumeId: id, blockSize, from, to },
        ...(keeps != null && { keeps }),
        ...(opening !== undefined && { opening }),
      };
    }),
  z
    .tuple([z.literal(3), name, zStateId, zParcelId, zBytes, bytes(32)])
    .transform(([, volume, to, parcel, length, digest]): Message => {
      return { kind: 'announce', volume, to, parcel, length, digest };
    }),
  z
    .tuple([z.literal(4), name, zStateId])
    .transform(([, volume, to]): Message => ({ kind: 'withdraw', volume, to })),
  z
    .tuple([
      z.literal(5),
      name,
      zStateId.nullable(),
      zStateId,
      natural,
      bytes(16),
      bytes(32),
      zAccount.optional(),
    ])
    .transform(([, volume, from, to, parcels, parcelsDigest, digest, account]): Message => {
      const commit = { kind: 'commit', volume, from, to, parcels, parcelsDigest, digest } as const;
      return account === undefined ? commit : { ...commit, account };
    }),
  z
    .tuple([z.literal(6), name, zStateId])
    .transform(([, volume, to]): Message => ({ kind: 'durable', volume, to })),
  z
    .tuple([z.literal(7), name, zStateId])
    .transform(([, volume, to]): Message => ({ kind: 'applied', volume, to })),
  z
    .tuple([z.literal(8), name, zStateId, natural.max(REFUSAL_CODES.length - 1), text])
    .transform(([, volume, to, code, reason]): Message => {
      return { kind: 'refused', volume, to, code: REFUSAL_CODES[code] ?? 'failed', text: reason };
    }),
  z
    .tuple([z.literal(9), name, zStateId, zParcelId])
    .transform(([, volume, to, parcel]): Message => ({ kind: 'spoiled', volume, to, parcel })),
  z
    .tuple([z.literal(16), name, zStateId, zParcelId, zRangesUpTo(MAX_MISMATCH_RANGES)])
    .transform(([, volume, to, parcel, base]): Message => ({
      kind: 'base-mismatch',
      volume,
      to,
      parcel,
      base,
    })),
  z.tuple([z.literal(10)]).transform((): Message => ({ kind: 'copies-told' })),
  z
    .tuple([
      z.literal(11),
      name,
      zStateId,
      natural,
      zVolumeId,
      zBlockSize,
      natural.max(MAX_BLOCKS),
      bytes(16),
      zRangesUpTo(MAX_COMPARED_RANGES).optional(),
    ])
    .transform(([, volume, to, serial, id, blockSize, blocks, key, within]): Message => {
      const compare = { kind: 'compare', volume, to, serial, volumeId: id, blockSize, blocks, key } as const;
      return within === undefined ? compare : { ...compare, within };
    }),
  z
    .tuple([z.literal(12), name, zStateId, natural, zState, bytes(16), z.literal(true).optional()])
    .transform(([, volume, to, serial, state, root, heeded]): Message => {
      const answer = { kind: 'compare-root', volume, to, serial, state, root } as const;
      return heeded === undefined ? answer : { ...answer, heeded };
    }),
  z
    .tuple([z.literal(13), name, zStateId, natural, natural.max(8), natural.max(8), zNodes])
    .transform(([, volume, to, serial, level, depth, nodes]): Message => {
      return { kind: 'compare-ask', volume, to, serial, level, depth, nodes };
    }),
  z
    .tuple([z.literal(14), name, zStateId, natural, zDigests])
    .transform(([, volume, to, serial, digests]): Message => {
      return { kind: 'compare-digests', volume, to, serial, digests };
    }),
  z
    .tuple([z.literal(15), name, zStateId, natural])
    .transform(([, volume, to, serial]): Message => ({ kind: 'compare-over', volume, to, serial })),
]);

const zHello = z
  .tuple([name, text, z.boolean(), z.array(z.tuple(copyFields)).max(MAX_HELLO_COPIES)])
  .transform(([site, software, complete, copies]): Hello => {
    return { name: site, software, complete, copies: copies.map((fields) => toCopy(...fields)) };
  });

/** What an offer may lack, as far as there is any of it. */
function packOfferRest({ keeps, opening }: Offer): unknown[] {
  const packed = keeps === undefined ? null : packKept(keeps);
  if (opening !== undefined) return [packed, packOpening(opening)];
  return packed === null ? [] : [packed];
}

function pack(message: Message): unknown[] {
  switch (message.kind) {
    case 'copy-status':
      return [1, ...packCopy(message)];
    case 'offer':
      return [
        2,
        message.volume,
        packId(message.volumeId),
        message.blockSize,
        packId(message.from),
        packState(message.to),
        ...packOfferRest(message),
      ];
    case 'announce':
      return [3, message.volume, packId(message.to), packId(message.parcel), message.length, message.digest];
    case 'withdraw':
      return [4, message.volume, packId(message.to)];
    case 'commit':
      return [
        5,
        message.volume,
        packId(message.from),
        packId(message.to),
        message.parcels,
        message.parcelsDigest,
        message.digest,
        ...(message.account === undefined ? [] : [packAccount(message.account)]),
      ];
    case 'durable':
      return [6, message.volume, packId(message.to)];
    case 'applied':
      return [7, message.volume, packId(message.to)];
    case 'refused':
      return [
        8,
        message.volume,
        packId(message.to),
        REFUSAL_CODES.indexOf(message.code),
        message.text.slice(0, MAX_TEXT_LENGTH),
      ];
    case 'spoiled':
      return [9, message.volume, packId(message.to), packId(message.parcel)];
    case 'base-mismatch':
      return [16, message.volume, packId(message.to), idBytes(message.parcel), packRanges(message.base)];
    case 'copies-told':
      return [10];
    case 'compare':
      return [
        11,
        message.volume,
        packId(message.to),
        message.serial,
        packId(message.volumeId),
        message.blockSize,
        message.blocks,
        message.key,
        ...(message.within === undefined ? [] : [packRanges(message.within)]),
      ];
    case 'compare-root':
      return [
        12,
        message.volume,
        packId(message.to),
        message.serial,
        packState(message.state),
        message.root,
        ...(message.heeded === undefined ? [] : [message.heeded]),
      ];
    case 'compare-ask':
      return [
        13,
        message.volume,
        packId(message.to),
        message.serial,
        message.level,
        message.depth,
        packNodes(message.nodes),
      ];
    case 'compare-digests':
      return [14, message.volume, packId(message.to), message.serial, message.digests];
    case 'compare-over':
      return [15, message.volume, packId(message.to), message.serial];
    default:
      message satisfies never;
      throw new TypeError('unknown message kind');
  }
}

/** A message as bytes, owned by the caller. */
export const encodeMessage = (message: Message): Uint8Array => Uint8Array.from(encoder.encode(pack(message)));

/** Undoes `encodeMessage`. Throws ProtocolError `bad-message` or `limit-exceeded`. */
export const decodeMessage = (input: Uint8Array): Message => decode(input, zMessage);

/** A hello with as many copies as fit into `limit` bytes; `complete` is cleared if some did not. */
export function encodeHello(hello: Hello, limit: number): Uint8Array {
  for (let count = Math.min(hello.copies.length, MAX_HELLO_COPIES); ; count--) {
    const complete = hello.complete && count === hello.copies.length;
    const copies = hello.copies.slice(0, count).map(packCopy);
    const encoded = encoder.encode([hello.name, hello.software, complete, copies]);
    if (encoded.byteLength <= limit || count === 0) return Uint8Array.from(encoded);
  }
}

/** Undoes `encodeHello`. Throws ProtocolError `bad-message` or `limit-exceeded`. */
export const decodeHello = (input: Uint8Array): Hello => decode(input, zHello);

function decode<T>(input: Uint8Array, schema: z.ZodType<T>): T {
  if (input.byteLength > MAX_MESSAGE_BYTES) {
    throw new ProtocolError('limit-exceeded', `message of ${input.byteLength} bytes`);
  }
  checkCborShape(input);
  let value: unknown;
  try {
    value = decoder.decode(input);
  } catch (cause) {
    throw new ProtocolError('bad-message', 'message is not CBOR', { cause });
  }
  const result = schema.safeParse(value);
  if (!result.success) throw new ProtocolError('bad-message', 'message has the wrong form');
  return result.data;
}
