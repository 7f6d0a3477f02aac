import { Decoder, Encoder } from 'cbor-x';
import * as z from 'zod';
import { ProtocolError } from '../errors.js';
import { idBytes, MAX_BLOCKS } from '../units.js';
import { checkCborShape } from './cbor-shape.js';
import {
  copyFields,
  offerFields,
  packAccount,
  packCopy,
  packId,
  packKept,
  packNodes,
  packOpening,
  packRanges,
  packState,
  toCopy,
  zAccount,
  zBlockSize,
  zByteCount,
  zBytesOf,
  zDigests,
  zKept,
  zName,
  zNatural,
  zNodes,
  zOpening,
  zParcelId,
  zRangesUpTo,
  zState,
  zStateId,
  zText,
  zVolumeId,
} from './fields.js';
import {
  MAX_COMPARED_RANGES,
  MAX_HELLO_COPIES,
  MAX_MESSAGE_BYTES,
  MAX_MISMATCH_RANGES,
  MAX_SUSPECT_RANGES,
  MAX_TEXT_LENGTH,
} from './limits.js';
import { REFUSAL_CODES, type Compare, type Hello, type Message, type Offer } from './message.js';

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
    .tuple([z.literal(3), zName, zStateId, zParcelId, zByteCount, zBytesOf(32)])
    .transform(([, volume, to, parcel, length, digest]): Message => {
      return { kind: 'announce', volume, to, parcel, length, digest };
    }),
  z
    .tuple([z.literal(4), zName, zStateId])
    .transform(([, volume, to]): Message => ({ kind: 'withdraw', volume, to })),
  z
    .tuple([
      z.literal(5),
      zName,
      zStateId.nullable(),
      zStateId,
      zNatural,
      zBytesOf(16),
      zBytesOf(32),
      zAccount.optional(),
    ])
    .transform(([, volume, from, to, parcels, parcelsDigest, digest, account]): Message => {
      const commit = { kind: 'commit', volume, from, to, parcels, parcelsDigest, digest } as const;
      return account === undefined ? commit : { ...commit, account };
    }),
  z
    .tuple([z.literal(6), zName, zStateId])
    .transform(([, volume, to]): Message => ({ kind: 'durable', volume, to })),
  z
    .tuple([z.literal(7), zName, zStateId])
    .transform(([, volume, to]): Message => ({ kind: 'applied', volume, to })),
  z
    .tuple([z.literal(8), zName, zStateId, zNatural.max(REFUSAL_CODES.length - 1), zText])
    .transform(([, volume, to, code, reason]): Message => {
      return { kind: 'refused', volume, to, code: REFUSAL_CODES[code] ?? 'failed', text: reason };
    }),
  z
    .tuple([z.literal(9), zName, zStateId, zParcelId])
    .transform(([, volume, to, parcel]): Message => ({ kind: 'spoiled', volume, to, parcel })),
  z
    .tuple([z.literal(16), zName, zStateId, zParcelId, zRangesUpTo(MAX_MISMATCH_RANGES)])
    .transform(([, volume, to, parcel, base]): Message => ({
      kind: 'base-mismatch',
      volume,
      to,
      parcel,
      base,
    })),
  z
    .tuple([z.literal(17), zName, zStateId, zRangesUpTo(MAX_SUSPECT_RANGES)])
    .transform(([, volume, state, blocks]): Message => ({ kind: 'suspect', volume, state, blocks })),
  z.tuple([z.literal(10)]).transform((): Message => ({ kind: 'copies-told' })),
  z
    .tuple([
      z.literal(11),
      zName,
      zStateId,
      zNatural,
      zVolumeId,
      zBlockSize,
      zNatural.max(MAX_BLOCKS),
      zBytesOf(16),
      zRangesUpTo(MAX_COMPARED_RANGES).nullable().optional(),
      zText.optional(),
    ])
    .transform(([, volume, to, serial, id, blockSize, blocks, key, within, why]): Message => {
      return {
        ...{ kind: 'compare', volume, to, serial, volumeId: id, blockSize, blocks, key },
        ...(within != null && { within }),
        ...(why !== undefined && { why }),
      };
    }),
  z
    .tuple([z.literal(12), zName, zStateId, zNatural, zState, zBytesOf(16), z.literal(true).optional()])
    .transform(([, volume, to, serial, state, root, heeded]): Message => {
      const answer = { kind: 'compare-root', volume, to, serial, state, root } as const;
      return heeded === undefined ? answer : { ...answer, heeded };
    }),
  z
    .tuple([z.literal(13), zName, zStateId, zNatural, zNatural.max(8), zNatural.max(8), zNodes])
    .transform(([, volume, to, serial, level, depth, nodes]): Message => {
      return { kind: 'compare-ask', volume, to, serial, level, depth, nodes };
    }),
  z
    .tuple([z.literal(14), zName, zStateId, zNatural, zDigests])
    .transform(([, volume, to, serial, digests]): Message => {
      return { kind: 'compare-digests', volume, to, serial, digests };
    }),
  z
    .tuple([z.literal(15), zName, zStateId, zNatural, zNatural.max(MAX_BLOCKS).optional()])
    .transform(([, volume, to, serial, differing]): Message => {
      const over = { kind: 'compare-over', volume, to, serial } as const;
      return differing === undefined ? over : { ...over, differing };
    }),
]);

const zHello = z
  .tuple([zName, zText, z.boolean(), z.array(z.tuple(copyFields)).max(MAX_HELLO_COPIES)])
  .transform(([site, software, complete, copies]): Hello => {
    return { name: site, software, complete, copies: copies.map((fields) => toCopy(...fields)) };
  });

/** What an offer may lack, as far as there is any of it. */
function packOfferRest({ keeps, opening }: Offer): unknown[] {
  const packed = keeps === undefined ? null : packKept(keeps);
  if (opening !== undefined) return [packed, packOpening(opening)];
  return packed === null ? [] : [packed];
}

/** What a compare may lack, as far as there is any of it. */
function packCompareRest({ within, why }: Compare): unknown[] {
  const packed = within === undefined ? null : packRanges(within);
  if (why !== undefined) return [packed, why.slice(0, MAX_TEXT_LENGTH)];
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
    case 'suspect':
      return [17, message.volume, packId(message.state), packRanges(message.blocks)];
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
        ...packCompareRest(message),
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
      return [
        15,
        message.volume,
        packId(message.to),
        message.serial,
        ...(message.differing === undefined ? [] : [message.differing]),
      ];
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
