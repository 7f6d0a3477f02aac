import { crc32 } from 'node:zlib';
import { KeptDigests } from '../../protocol/compare/kept-digests.js';
import { SetDigest } from '../../protocol/parcel/set-digest.js';
import {
  encodeSeedEnd,
  encodeSeedHead,
  encodeSeedPart,
  type SeedHead,
} from '../../protocol/seed/seed-form.js';
import { blockIndex, byteCount } from '../../protocol/units.js';
import type { Collected, VolumeService } from '../engine/volume-service.js';
import type { File, Files } from '../platform/files.js';
import type { ParcelEncoder } from '../replication/encoder.js';
import { addEntries } from '../replication/set-entries.js';
import { fromDiskError, SeedError } from './errors.js';

/** Content of one part: as much as of a parcel, for that is what it is; one is in memory on either side. */
const PART_BYTES = 16 << 20;

export interface WriteSeedOptions {
  readonly service: VolumeService;
  readonly encoder: ParcelEncoder;
  readonly files: Files;
  /** Of its state every block must stay readable until this is over. */
  readonly head: SeedHead;
  /** Absolute. What is there is replaced. */
  readonly path: string;
  /** Of the digests that are kept. */
  readonly key: Uint8Array;
  readonly signal: AbortSignal;
  /** In bytes of the volume. */
  readonly progress: (done: number, total: number) => void;
  /** All of it is on the disk, and has its name when this has resolved. `kept`: as of `KeptDigests`. */
  readonly beforeNamed: (kept: Uint8Array) => Promise<void>;
}

export interface WrittenSeed {
  /** Blocks with content. */
  readonly blocks: number;
  /** Length of the file. */
  readonly bytes: number;
}

/**
 * Writes a state of a volume as a seed: as `<path>.partial`, synced, then under its name. Fails with SeedError, the
 * signal's reason, or what `beforeNamed` fails with, and leaves nothing then.
 */
export async function writeSeed(options: WriteSeedOptions): Promise<WrittenSeed> {
  const { files, path, signal, beforeNamed } = options;
  const partial = `${path}.partial`;
  let isNaming = false;
  try {
    const file = await files.open(partial, 'create');
    let made: { readonly kept: Uint8Array } & WrittenSeed;
    try {
      await file.truncate(0);
      made = await writeTo(file, options);
      await file.sync();
    } finally {
      await file.close();
    }
    signal.throwIfAborted();
    await beforeNamed(made.kept);
    isNaming = true;
    await files.rename(partial, path);
    return { blocks: made.blocks, bytes: made.bytes };
  } catch (cause) {
    // It may have its name, and not surely.
    const isNamed = isNaming && !(await files.exists(partial).catch(() => true));
    await files.remove(isNamed ? path : partial).catch(() => undefined);
    throw fromDiskError(cause, path);
  }
}

async function writeTo(
  file: File,
  { service, encoder, head, key, signal, progress }: WriteSeedOptions,
): Promise<{ readonly kept: Uint8Array } & WrittenSeed> {
  const { blockSize, state } = head;
  const encodedHead = encodeSeedHead(head, crc32);
  const headCrc = Buffer.from(encodedHead).readUInt32LE(encodedHead.byteLength - 4);
  await file.write(encodedHead, 0);
  const digest = new SetDigest();
  const kept = new KeptDigests(key, state.size / blockSize, blockSize);
  let [position, lastCrc, parts, blocks] = [encodedHead.byteLength, headCrc, 0, 0];
  for (let cursor = blockIndex(0); ;) {
    signal.throwIfAborted();
    const part = await service.collect({ from: null, to: state.id, cursor, maxContentBytes: PART_BYTES });
    if (part.isGivenUp === true || part.unavailable.length > 0) throw spoiled();
    if (part.content.byteLength > 0) {
      await digestPart(kept, part, blockSize);
      const { runs, content } = part;
      // A seed is as fast as its disk, and most content becomes shorter even so.
      const made = await encoder.encode({ blockSize, runs, content }, 1, null, signal);
      addEntries(digest, made.entries);
      const { head: headOfPart, crc } = encodeSeedPart(made.encoded, made.digest, lastCrc, crc32);
      await file.write(headOfPart, position);
      await file.write(made.encoded, position + headOfPart.byteLength);
      position += headOfPart.byteLength + made.encoded.byteLength;
      lastCrc = crc;
      parts++;
      blocks += content.byteLength / blockSize;
    }
    progress(part.next === null ? state.size : part.next * blockSize, state.size);
    if (part.next === null) break;
    if (part.next <= cursor) throw new Error('the volume does not come forward');
    cursor = part.next;
  }
  const contentBytes = byteCount(blocks * blockSize);
  const end = encodeSeedEnd({ parts, contentBytes, digest: digest.finish(), lastCrc }, headCrc, crc32);
  await file.write(end, position);
  return { kept: kept.finish(), blocks, bytes: position + end.byteLength };
}

/** Digests in slices, with other work of the thread in between. */
async function digestPart(kept: KeptDigests, { runs, content }: Collected, blockSize: number): Promise<void> {
  const slice = Math.max(1, Math.floor((1 << 20) / blockSize));
  let at = 0;
  for (const { start, count, zero } of runs) {
    if (zero) continue;
    for (let done = 0; done < count; done += slice) {
      const blocks = Math.min(slice, count - done);
      kept.add(start + done, content.subarray(at, at + blocks * blockSize));
      at += blocks * blockSize;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

const spoiled = (): SeedError =>
  new SeedError(
    'spoiled',
    'so much was written to the volume meanwhile that its snapshot could not be kept',
    'make the seed in a quieter time, to a faster disk, or with more room: beforeImages: { budget: … }',
  );
