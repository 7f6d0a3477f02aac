import { open } from 'node:fs/promises';
import { copyImage } from '../image-file.js';
import { Prose } from '../prose.js';
import { imageBytes, type Making, type Workload } from '../workload.js';

/** A raw image without a file system: blocks of text, of random bytes, and of zeros, in stretches. */
async function rawImage(path: string, bytes: number, { seeded, blockSize }: Making): Promise<void> {
  const prose = new Prose(seeded);
  const text = Buffer.from(prose.lines(8 << 20));
  const file = await open(path, 'w');
  try {
    await file.truncate(bytes);
    for (let at = 0; at < bytes;) {
      const length = Math.min((1 + seeded.below(64)) * 16 * blockSize, bytes - at);
      const kind = seeded.below(4);
      if (kind === 0) {
        await file.write(seeded.bytes(length), 0, length, at);
      } else if (kind < 3) {
        for (let part = 0; part < length; part += blockSize) {
          const from = seeded.below(text.byteLength - blockSize);
          await file.write(text, from, Math.min(blockSize, length - part), at + part);
        }
      }
      at += length;
    }
  } finally {
    await file.close();
  }
}

/** One byte in each of 1,000 blocks that hold something. */
async function scattered(making: Making): Promise<void> {
  const { seeded, blockSize, before, after } = making;
  const bytes = imageBytes(making);
  await rawImage(before, bytes, making);
  await copyImage(before, after);
  const file = await open(after, 'r+');
  const done = new Set<number>();
  const one = Buffer.alloc(1);
  try {
    while (done.size < 1000) {
      const block = seeded.below(bytes / blockSize);
      if (done.has(block)) continue;
      const at = block * blockSize + seeded.below(blockSize);
      await file.read(one, 0, 1, at);
      if (one[0] === 0) continue;
      one[0] = (one[0] ?? 0) ^ (1 + seeded.below(255));
      await file.write(one, 0, 1, at);
      done.add(block);
    }
  } finally {
    await file.close();
  }
}

async function rewritten(making: Making): Promise<void> {
  const bytes = making.size === 'full' ? 2 ** 30 : imageBytes(making);
  await rawImage(making.before, bytes, making);
  await copyImage(making.before, making.after);
}

export const blockWorkloads: readonly Workload[] = [
  { name: 'scattered', title: 'one byte in each of 1,000 scattered blocks', needs: [], make: scattered },
  {
    name: 'rewritten',
    title: '1 GiB written over with random data, then back',
    needs: [],
    overwritten: true,
    make: rewritten,
  },
];
