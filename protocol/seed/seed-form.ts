import * as z from 'zod';
import { ProtocolError } from '../errors.js';
import { MAX_PARCEL_ENCODED } from '../parcel/parcel.js';
import type { StateInfo } from '../state.js';
import { stateInJson } from '../state-json.js';
import { byteCount, isBlockSize, MAX_BLOCKS, volumeId, type ByteCount, type VolumeId } from '../units.js';

/**
 * A seed: a whole state of a volume in one file, for a first copy that travels on a disk (PROTOCOL.md, "Seed file").
 *
 *     head    magic (16), length of the JSON (u32), JSON, CRC-32 of all before
 *     parts   parcels: ascending, disjoint, in the plain forms, without zeros
 *     end     how many parts, how much content, the digest of the set
 *
 * Each part's CRC goes on from the one before it, the first one's from the head's; the end's goes on from the head's and
 * names the last part's. So nothing is missing, doubled or of another seed, and damage is found where it is.
 */
export const SEED_MAGIC = Buffer.from('farcopy seed 1\n\0', 'latin1');

const LENGTH_BYTES = 4;
const CRC_BYTES = 4;
const DIGEST_BYTES = 32;
const PART = 1;
const END = 2;

/** What has to be read to know how long the head is. */
export const SEED_START_BYTES = SEED_MAGIC.byteLength + LENGTH_BYTES;
/** kind, length, digest, CRC. */
export const SEED_PART_HEAD_BYTES = 1 + LENGTH_BYTES + DIGEST_BYTES + CRC_BYTES;
/** kind, parts, bytes of content, digest, CRC of the last part, CRC. */
export const SEED_END_BYTES = 1 + 4 + 8 + DIGEST_BYTES + CRC_BYTES + CRC_BYTES;
/** A head has names, ids and a note: all of them are short. */
const MAX_JSON_BYTES = 1 << 16;

/** What a seed says of itself. */
export interface SeedHead {
  /** The primary's own name. */
  readonly primary: string;
  /** Its static key of the handshake, 32 bytes: whose seed it claims to be. */
  readonly publicKey: Uint8Array;
  readonly volume: string;
  readonly volumeId: VolumeId;
  readonly blockSize: number;
  readonly state: StateInfo;
  /** Program and version, for people. */
  readonly software: string;
}

/** The CRC-32 of `bytes`, going on from `start`. */
export type Crc = (bytes: Uint8Array, start?: number) => number;

export interface SeedPartHead {
  readonly length: number;
  /** `parcelDigest` of the decoded form. */
  readonly digest: Uint8Array;
  readonly crc: number;
}

export interface SeedEnd {
  readonly parts: number;
  /** Bytes of block content in all parts. */
  readonly contentBytes: ByteCount;
  /** `SetDigest` of the state's content, zeros left out. */
  readonly digest: Uint8Array;
  /** Of the last part; where there is none, the head's. */
  readonly lastCrc: number;
}

const zName = z.string().min(1).max(255);
const zHead = z
  .object({
    primary: zName,
    publicKey: z.string().transform((text, context) => {
      const key = Buffer.from(text, 'base64');
      if (key.byteLength !== 32 || key.toString('base64') !== text) context.addIssue('not a key');
      return new Uint8Array(key);
    }),
    volume: zName,
    volumeId: z.string().transform(volumeId),
    blockSize: z.number().refine(isBlockSize),
    state: stateInJson,
    software: z.string().max(255),
  })
  .refine(({ blockSize, state }) => state.size % blockSize === 0 && state.size / blockSize <= MAX_BLOCKS);

/** The head as it stands in the file, its CRC at the end. */
export function encodeSeedHead(head: SeedHead, crc: Crc): Uint8Array {
  const { primary, publicKey, volume, state, software } = head;
  const json = Buffer.from(
    JSON.stringify({
      primary,
      publicKey: Buffer.from(publicKey).toString('base64'),
      volume,
      volumeId: head.volumeId,
      blockSize: head.blockSize,
      state,
      software,
    }),
  );
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32LE(json.byteLength);
  const body = Buffer.concat([SEED_MAGIC, length, json]);
  return Buffer.concat([body, u32(crc(body))]);
}

/** How long the whole head is, from its first `SEED_START_BYTES`. Throws `bad-seed`. */
export function seedHeadBytes(start: Uint8Array): number {
  const view = bufferOf(start);
  if (!view.subarray(0, SEED_MAGIC.byteLength).equals(SEED_MAGIC)) {
    const other = view.subarray(0, 13).equals(SEED_MAGIC.subarray(0, 13));
    throw bad(other ? 'written by another version of farcopy' : 'not a seed of farcopy');
  }
  const length = view.readUInt32LE(SEED_MAGIC.byteLength);
  if (length > MAX_JSON_BYTES) throw bad('its head is damaged');
  return SEED_START_BYTES + length + CRC_BYTES;
}

/** Undoes `encodeSeedHead`; `crc` is what the parts go on from. Throws `bad-seed`. */
export function decodeSeedHead(
  bytes: Uint8Array,
  crc: Crc,
): { readonly head: SeedHead; readonly crc: number } {
  const view = bufferOf(bytes);
  const cut = view.byteLength - CRC_BYTES;
  const found = crc(view.subarray(0, cut));
  if (view.readUInt32LE(cut) !== found) throw bad('its head is damaged');
  let head: z.infer<typeof zHead>;
  try {
    head = zHead.parse(JSON.parse(view.subarray(SEED_START_BYTES, cut).toString()) as unknown);
  } catch (cause) {
    throw bad('its head says something that this version of farcopy does not know', cause);
  }
  return { head, crc: found };
}

/** A part's head, to be written in front of `encoded`; `before` is the CRC of what comes before it. */
export function encodeSeedPart(
  encoded: Uint8Array,
  digest: Uint8Array,
  before: number,
  crc: Crc,
): { readonly head: Uint8Array; readonly crc: number } {
  const fields = Buffer.alloc(SEED_PART_HEAD_BYTES - CRC_BYTES);
  fields[0] = PART;
  fields.writeUInt32LE(encoded.byteLength, 1);
  fields.set(digest, 1 + LENGTH_BYTES);
  const sum = crc(encoded, crc(fields, before));
  return { head: Buffer.concat([fields, u32(sum)]), crc: sum };
}

/** Takes a part's head apart, as far as that can be judged without what follows; null: it is the head of no part. */
export function decodeSeedPart(bytes: Uint8Array): SeedPartHead | null {
  const view = bufferOf(bytes);
  const length = view.readUInt32LE(1);
  if (view[0] !== PART || length === 0 || length > MAX_PARCEL_ENCODED) return null;
  const cut = SEED_PART_HEAD_BYTES - CRC_BYTES;
  return {
    length,
    digest: Uint8Array.from(view.subarray(1 + LENGTH_BYTES, cut)),
    crc: view.readUInt32LE(cut),
  };
}

/** Is a part what was written; `head` as it stands in the file, `before` as of `encodeSeedPart`. */
export function isSeedPartIntact(head: Uint8Array, encoded: Uint8Array, before: number, crc: Crc): boolean {
  const cut = SEED_PART_HEAD_BYTES - CRC_BYTES;
  return bufferOf(head).readUInt32LE(cut) === crc(encoded, crc(head.subarray(0, cut), before));
}

/** `headCrc`: of the seed's head. */
export function encodeSeedEnd(end: SeedEnd, headCrc: number, crc: Crc): Uint8Array {
  const fields = Buffer.alloc(SEED_END_BYTES - CRC_BYTES);
  fields[0] = END;
  fields.writeUInt32LE(end.parts, 1);
  fields.writeBigUInt64LE(BigInt(end.contentBytes), 5);
  fields.set(end.digest, 13);
  fields.writeUInt32LE(end.lastCrc, 13 + DIGEST_BYTES);
  return Buffer.concat([fields, u32(crc(fields, headCrc))]);
}

/** Undoes `encodeSeedEnd`; null: these bytes are not the end of this seed. */
export function decodeSeedEnd(bytes: Uint8Array, headCrc: number, crc: Crc): SeedEnd | null {
  const view = bufferOf(bytes);
  const cut = SEED_END_BYTES - CRC_BYTES;
  if (view[0] !== END || view.readUInt32LE(cut) !== crc(view.subarray(0, cut), headCrc)) return null;
  return {
    parts: view.readUInt32LE(1),
    contentBytes: byteCount(Number(view.readBigUInt64LE(5))),
    digest: Uint8Array.from(view.subarray(13, 13 + DIGEST_BYTES)),
    lastCrc: view.readUInt32LE(13 + DIGEST_BYTES),
  };
}

const bufferOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function u32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

const bad = (what: string, cause?: unknown): ProtocolError =>
  new ProtocolError('bad-seed', what, cause === undefined ? undefined : { cause });
