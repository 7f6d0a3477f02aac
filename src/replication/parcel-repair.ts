import { parcelDigest, serializeParcel } from '../../protocol/parcel/parcel.js';
import type { SpooledParcel } from '../../protocol/session/set-transfer.js';
import type { VolumeService } from '../engine/volume-service.js';
import type { ParcelEncoder } from './encoder.js';
import { ReplicationError } from './errors.js';
import type { EncodingQuality } from './parcel-encoding.js';
import type { Spool } from './spool.js';

export interface ParcelRepairOptions {
  readonly volume: VolumeService;
  readonly blockSize: number;
  readonly spool: Spool;
  readonly encoder: ParcelEncoder;
}

/**
 * Encodes a spooled parcel again, without references, under the same id. Fails with `spool-damaged` when its content
 * cannot be told any more: the set is then to be made again.
 */
export async function encodeAgain(
  parcel: SpooledParcel,
  quality: EncodingQuality,
  { volume, blockSize, spool, encoder }: ParcelRepairOptions,
  signal: AbortSignal,
): Promise<SpooledParcel> {
  const { set } = spool;
  if (set === null) throw new ReplicationError('closed', 'the set is not wanted any more');
  const runs = await spool.runs(parcel);
  const { content } = await volume.readBase({ state: set.to, runs: runs.filter(({ zero }) => !zero) });
  signal.throwIfAborted();
  const made = { blockSize, runs, content };
  if (Buffer.compare(parcelDigest(serializeParcel(made)), parcel.digest) !== 0) {
    throw new ReplicationError('spool-damaged', `the content of parcel ${parcel.id} is gone`);
  }
  return spool.replace(parcel.id, await encoder.encode(made, quality, null, signal));
}
