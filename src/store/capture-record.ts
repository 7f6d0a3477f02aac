import { z } from 'zod';
import { stateInJson } from '../../protocol/state-json.js';
import { parcelId, stateId, type ParcelId } from '../../protocol/units.js';
import { sealRecord } from './sealed-record.js';
import {
  accountSchema,
  blockSizeSchema,
  checked,
  incrementNameSchema,
  volumeIdSchema,
} from './volume-record.js';
import type { PointAccount, SetOffer } from './volume-store.js';

/** What COMMIT named: the parcels in the order that decides, and the digest of the set as hex. */
export interface CommittedSet {
  readonly parcels: readonly ParcelId[];
  readonly digest: string;
  readonly account?: PointAccount;
}

/**
 * How far a captured set is. Each step is one atomic replacement of `capture/capture.json`:
 * `collecting` (may be dropped), `durable` (the commit mark: will be applied), `overwriting` (the phase mark: the
 * old blocks are safe in `increment`, the image may be half new and is only ever written forward).
 */
export type CapturePhase =
  | { readonly kind: 'collecting' }
  | ({ readonly kind: 'durable' } & CommittedSet)
  | ({ readonly kind: 'overwriting'; readonly increment: string | null } & CommittedSet);

export interface CaptureRecord {
  /** 128 random bits as hex; every file of this capture carries them, so that no other's is taken for ours. */
  readonly setId: string;
  readonly offer: SetOffer;
  readonly phase: CapturePhase;
}

const MAGIC = 'farcopy-capture';
const VERSION = 1;

const hex = (bytes: number): z.ZodString => z.string().regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`));
const committed = {
  parcels: z.array(z.string().transform(parcelId)),
  digest: hex(32),
  account: accountSchema.exactOptional(),
};
const schema = z.object({
  magic: z.literal(MAGIC),
  version: z.literal(VERSION),
  setId: hex(16),
  offer: z.object({
    volumeId: volumeIdSchema,
    blockSize: blockSizeSchema,
    from: z.string().transform(stateId).nullable(),
    to: stateInJson,
    isSeed: z.boolean().exactOptional(),
  }),
  phase: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('collecting') }),
    z.object({ kind: z.literal('durable'), ...committed }),
    z.object({ kind: z.literal('overwriting'), increment: incrementNameSchema.nullable(), ...committed }),
  ]),
});

export const encodeCaptureRecord = (record: CaptureRecord): Uint8Array =>
  sealRecord({ magic: MAGIC, version: VERSION, ...record });

/** Undoes `encodeCaptureRecord`; `damaged` when the file is not what was written. */
export function decodeCaptureRecord(bytes: Uint8Array, path: string): CaptureRecord {
  const { setId, offer, phase } = checked(schema, bytes, path);
  return { setId, offer, phase };
}
