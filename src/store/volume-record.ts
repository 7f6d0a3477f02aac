import { z } from 'zod';
import { stateInJson } from '../../protocol/state-json.js';
import { isBlockSize, volumeId, type VolumeId } from '../../protocol/units.js';
import { damagedFile, openRecord, sealRecord } from './sealed-record.js';
import type { RestorePoint } from './volume-store.js';

/** A restore point as `volume.json` keeps it. */
export interface PointRecord extends RestorePoint {
  /** File in `increments/` that leads from the next newer point back to this one; null for the newest. */
  readonly increment: string | null;
}

/** What `volume.json` says: the one file that decides which states exist. */
export interface VolumeRecord {
  readonly volumeId: VolumeId;
  readonly blockSize: number;
  /** Oldest first; the last is the image's state. Empty: the image has none yet. */
  readonly points: readonly PointRecord[];
  /**
   * The digests (`BlockDigests`) that are in step with the image; absent: none are. A version that does not know of them
   * leaves it out, and does not keep them.
   */
  readonly digests?: string;
}

const MAGIC = 'farcopy-volume';
const VERSION = 1;
const INCREMENT_NAME = /^[0-9a-f]{32}$/;

const bytes = z.int().nonnegative();
const lineKinds = z.object({
  data: bytes,
  addresses: bytes.exactOptional(),
  control: bytes,
  repeated: bytes,
  handshake: bytes,
});
const lineBytes = z.object({ toBackup: lineKinds, toPrimary: lineKinds });

/** A `PointAccount` as it stands in the store's JSON files. */
export const accountSchema = z.object({
  written: bytes.nullable(),
  byPrimary: lineBytes.nullable(),
  byBackup: lineBytes.nullable(),
});

export const blockSizeSchema = z.number().refine(isBlockSize);
export const volumeIdSchema = z.string().transform(volumeId);
export const incrementNameSchema = z.string().regex(INCREMENT_NAME);

const schema = z.object({
  magic: z.literal(MAGIC),
  version: z.literal(VERSION),
  volumeId: volumeIdSchema,
  blockSize: blockSizeSchema,
  digests: z
    .string()
    .regex(/^[0-9a-f]{32}$/)
    .exactOptional(),
  points: z.array(
    z.object({
      state: stateInJson,
      appliedAt: z.number(),
      blocks: z.int().nonnegative(),
      account: accountSchema.exactOptional(),
      seed: z.enum(['unconfirmed', 'differed']).exactOptional(),
      increment: incrementNameSchema.nullable(),
    }),
  ),
});

export const encodeVolumeRecord = (record: VolumeRecord): Uint8Array =>
  sealRecord({ magic: MAGIC, version: VERSION, ...record });

/** Undoes `encodeVolumeRecord`; `damaged` when the file is not what was written. */
export function decodeVolumeRecord(bytes: Uint8Array, path: string): VolumeRecord {
  const { volumeId, blockSize, points, digests } = checked(schema, bytes, path);
  const misplaced = points.findIndex((point, i) => (point.increment === null) !== (i === points.length - 1));
  if (misplaced >= 0) throw damagedFile(path, `point ${misplaced} has no way to it`);
  return { volumeId, blockSize, points, ...(digests !== undefined && { digests }) };
}

/** The checked value of a sealed record. */
export function checked<T>(form: z.ZodType<T>, bytes: Uint8Array, path: string): T {
  const value = openRecord(bytes, path);
  try {
    return form.parse(value);
  } catch (cause) {
    throw damagedFile(path, 'or written by another version of farcopy', cause);
  }
}
