import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Seeded } from '../../support/seeded.js';
import { FarCopy } from './far-copy.js';
import { copyImage, type ChangedRun, type ImageFile } from './image-file.js';
import type { Measurement } from './measurement.js';

export interface OurOptions {
  readonly blockSize: number;
  /** Of the line that the set is encoded for. */
  readonly bytesPerSecond: number;
  /** Random data over all of the volume first, then what was there, before the changes. */
  readonly overwritten: boolean;
  readonly seed: number;
}

const WRITE_BYTES = 1 << 20;

/**
 * Takes a change through the product: a far copy of the old image, the changes written as an NBD client writes them,
 * a snapshot, its set sent and applied; fails unless the far copy then is the new image byte for byte.
 */
export async function measureOurs(
  images: { readonly before: ImageFile; readonly after: ImageFile },
  runs: readonly ChangedRun[],
  folder: string,
  options: OurOptions,
): Promise<Measurement['ours']> {
  const { blockSize } = options;
  await mkdir(folder, { recursive: true });
  const image = join(folder, 'volume.img');
  await copyImage(images.before.path, image);
  const farCopy = await FarCopy.open(image, join(folder, 'farcopy'), blockSize);
  try {
    const first = await farCopy.sync(undefined);
    const { backend } = farCopy.volume;
    if (options.overwritten) {
      const seeded = new Seeded(options.seed);
      for (let at = 0; at < images.before.size; at += WRITE_BYTES) {
        await backend.write(at, seeded.bytes(Math.min(WRITE_BYTES, images.before.size - at)), false);
      }
      await writeAll(
        farCopy,
        images.before,
        [{ start: 0, count: images.before.size / blockSize, zero: false }],
        blockSize,
      );
    }
    await writeAll(farCopy, images.after, runs, blockSize);
    await backend.flush();
    const set = await farCopy.sync(options.bytesPerSecond);
    await farCopy.expectEqual(first.state, images.before);
    await farCopy.expectEqual(set.state, images.after);
    return {
      encodedBytes: set.parcelBytes,
      parcels: set.parcels,
      messageBytes: set.messageBytes,
      blocks: set.blocks,
      seconds: set.seconds,
      firstCopyBytes: first.parcelBytes,
    };
  } finally {
    await farCopy.close();
    await rm(join(folder, 'farcopy'), { recursive: true });
    await rm(image);
  }
}

async function writeAll(
  { volume }: FarCopy,
  image: ImageFile,
  runs: readonly ChangedRun[],
  blockSize: number,
): Promise<void> {
  for (const { start, count, zero } of runs) {
    const end = (start + count) * blockSize;
    if (zero) {
      await volume.backend.trim(start * blockSize, end - start * blockSize, false);
      continue;
    }
    for (let at = start * blockSize; at < end; at += WRITE_BYTES) {
      const bytes = await image.read(at, Math.min(WRITE_BYTES, end - at));
      await volume.backend.write(at, Buffer.from(bytes), false);
    }
  }
}
