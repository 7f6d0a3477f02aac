import { z } from 'zod';
import { countInJson as count, idInJson as id, stateInJson as state } from '../../protocol/state-json.js';
import { stateId, volumeId } from '../../protocol/units.js';
import { VolumeError } from './errors.js';

/*
 * The two small files that decide what exists, both JSON, both replaced as a whole:
 *
 *   `volume.json`   what the volume is, how it was left, and what was ever in doubt
 *   `epochs.json`   the epochs, the states at their starts, who holds which state, and what compares have found
 *
 * An epoch whose `start` is null began at no state: the first one, or one that was prepared for a seal that never
 * came to its record ("prepared"). The last epoch is the open one. Nothing but these lists makes an epoch exist.
 */

const identity = z
  .object({
    magic: z.literal('farcopy volume'),
    version: z.literal(1),
    id: id(volumeId),
    name: z.string(),
    blockSize: count,
    sizeBytes: count,
    /** Where the device was when last opened; for people. */
    device: z.string(),
    /** Random, new with each opening, and the one before: tells a copied or restored folder from this one. */
    incarnation: z.string(),
    parentIncarnation: z.string().nullable(),
    /** The incarnations before, newest first, as many as are kept. */
    ancestors: z.array(z.string()).readonly().default([]),
    /** Which device and which hot log it was (`FileAttributes.identity`); null: could not be told. */
    deviceIdentity: z.string().nullable().default(null),
    stateIdentity: z.string().nullable().default(null),
    /** Boot of the kernel in which it was last opened. */
    bootId: z.string(),
    /** How the device looked when it was closed in order; null while open, and after a kill or a power cut. */
    clean: z
      .object({
        modifiedMs: z.number().nullable(),
        writtenBytes: z.number().nullable().default(null),
        fingerprint: z.string(),
      })
      .readonly()
      .nullable(),
    /** What was in doubt and has not been compared since; oldest first. */
    doubts: z
      .array(
        z
          .object({
            time: count,
            text: z.string(),
            /** States of a lower ordinal are in doubt; absent in records of before there was a compare: all are. */
            ordinal: count.exactOptional(),
            /** The bytes of the device that are in doubt, as starts and ends; absent: all. */
            within: z
              .array(z.object({ start: count, end: count }).readonly())
              .readonly()
              .exactOptional(),
          })
          .readonly(),
      )
      .readonly(),
  })
  .readonly();

const epochs = z
  .object({
    magic: z.literal('farcopy epochs'),
    version: z.literal(1),
    volume: id(volumeId),
    nextEpoch: count,
    nextOrdinal: count,
    lastState: state.nullable(),
    epochs: z
      .array(
        z
          .object({
            number: count,
            start: state.nullable(),
            /** `Epoch.written` of a closed epoch, and of the open one after a close in order; absent: not known. */
            written: count.exactOptional(),
          })
          .readonly(),
      )
      .min(1)
      .readonly(),
    pins: z.array(z.object({ owner: z.string(), state: id(stateId) }).readonly()).readonly(),
    /**
     * What compares have found: to `owner`, and as long as it pins `state`, the state is `like` but for the blocks in
     * `compared-<number>.map`.
     */
    compared: z
      .array(z.object({ owner: z.string(), number: count, state: state, like: id(stateId) }).readonly())
      .readonly()
      .default([]),
  })
  .readonly();

export type IdentityRecord = z.infer<typeof identity>;
export type EpochsRecord = z.infer<typeof epochs>;
export type EpochEntry = EpochsRecord['epochs'][number];
export type ComparedEntry = EpochsRecord['compared'][number];

/** The longest a record may be: a thousand pins and states stay far below it. */
export const MAX_RECORD_BYTES = 4 << 20;

export const writeRecord = (record: IdentityRecord | EpochsRecord): Uint8Array =>
  Buffer.from(`${JSON.stringify(record, null, 2)}\n`);

/** Throws `bad-state`. */
export const readIdentity = (bytes: Uint8Array, path: string): IdentityRecord => parse(identity, bytes, path);

/** Throws `bad-state`. */
export const readEpochs = (bytes: Uint8Array, path: string): EpochsRecord => parse(epochs, bytes, path);

function parse<T>(schema: z.ZodType<T>, bytes: Uint8Array, path: string): T {
  try {
    return schema.parse(JSON.parse(Buffer.from(bytes).toString('utf8')));
  } catch (cause) {
    throw new VolumeError(
      'bad-state',
      `${path} is damaged or was written by another version of farcopy`,
      'restore the state folder, or remove it: the volume then begins anew with a full copy',
      { cause },
    );
  }
}
