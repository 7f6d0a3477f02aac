import type { SpooledParcel } from '../../protocol/session/set-transfer.js';
import type { ParcelEncoder } from './encoder.js';
import { ReplicationError } from './errors.js';
import type { EncodingQuality } from './parcel-encoding.js';
import type { ParcelSizing } from './parcel-sizing.js';
import { referencesFor, type SetReferencesOptions } from './set-references.js';
import type { Spool } from './spool.js';

export interface ParcelBuilderOptions extends SetReferencesOptions {
  readonly blockSize: number;
  readonly spool: Spool;
  readonly encoder: ParcelEncoder;
  readonly sizing: ParcelSizing;
  /** Without deltas. */
  readonly plainly: boolean;
  /** How hard to press the next parcel, by the line in use. */
  readonly quality: () => EncodingQuality;
  /** Resolves when another parcel is wanted: it is no use to encode far ahead of the line. */
  readonly roomForNext: (signal: AbortSignal) => Promise<void>;
  readonly onParcel: (parcel: SpooledParcel) => void;
}

/**
 * Gathers the spooled set to its end: reads the next blocks as they were at its state, encodes them, spools the
 * parcel, again and again; goes on where an earlier run stopped. Fails with `set-spoiled` when content of the state
 * can no longer be told, with the signal's reason when aborted. Returns the set's digest.
 */
export async function buildParcels(options: ParcelBuilderOptions, signal: AbortSignal): Promise<Uint8Array> {
  const { volume, spool } = options;
  for (;;) {
    const { set } = spool;
    if (set?.work == null) break;
    const { start, end, asOf } = set.work;
    await options.roomForNext(signal);
    const part = await volume.collect({
      from: set.from,
      to: set.to,
      ...(options.owner !== undefined && { by: options.owner }),
      ...(asOf !== null && asOf !== set.from && { since: asOf }),
      cursor: start,
      ...(end !== null && { end }),
      maxContentBytes: options.sizing.contentBytes,
    });
    signal.throwIfAborted();
    if (part.isGivenUp === true) throw new ReplicationError('set-spoiled', 'the snapshot had to be given up');
    if (part.unavailable.length > 0) {
      throw new ReplicationError('set-spoiled', `${part.unavailable.length} blocks of the snapshot are gone`);
    }
    const blocks = part.runs.reduce((sum, run) => sum + run.count, 0);
    // Zeros of a whole volume are left out, and there may be many.
    if (part.next !== null && part.next <= start) throw new Error('the volume does not come forward');
    if (blocks === 0) {
      await spool.skipTo(part.next);
      continue;
    }
    const parcel = { blockSize: options.blockSize, runs: part.runs, content: part.content };
    const id = spool.newId();
    const references = options.plainly ? null : referencesFor(set, id, part, options);
    const contentBytes = part.content.byteLength;
    const encoded = await options.encoder.encode(parcel, options.quality(), references, signal);
    if (!options.sizing.accepts(contentBytes, encoded.encoded.byteLength)) continue;
    options.onParcel(await spool.add(encoded, { blocks, upTo: part.next }, id));
  }
  return spool.finish();
}
