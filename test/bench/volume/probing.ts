import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { must } from '../../support/program.js';
import { fill } from '../nbd/throughput.js';
import type { Found } from './volume-probe.js';

/** Runs a probe's program on an image of this size, a hole or full of data, in a folder of its own below `folder`. */
async function probe(
  script: string,
  folder: string,
  sizeBytes: number,
  isFull: boolean,
  args: (image: string, state: string) => string[],
): Promise<unknown> {
  const own = mkdtempSync(join(folder, 'probe-'));
  try {
    const image = join(own, 'image');
    if (isFull) fill(image, sizeBytes);
    else writeFileSync(image, '');
    truncateSync(image, sizeBytes);
    const path = fileURLToPath(new URL(script, import.meta.url));
    const told = await must(process.execPath, [path, ...args(image, own)], { timeoutMs: 1_200_000 });
    return JSON.parse(told) as unknown;
  } finally {
    rmSync(own, { recursive: true });
  }
}

export const probeVolume = async (
  kind: 'tracked' | 'plain' | 'seals' | 'epochs',
  folder: string,
  sizeBytes: number,
  seconds = 0,
): Promise<Found> =>
  (await probe('./volume-probe.js', folder, sizeBytes, false, (image, own) => [
    kind,
    image,
    own,
    String(seconds),
  ])) as Found;

/** What the engine's own probe of large volumes finds (test/src/engine/scale-probe.ts). */
export const probeScale = (
  folder: string,
  sizeBytes: number,
  isFull: boolean,
  blockSize: number,
  writes: number,
): Promise<unknown> =>
  probe('../../src/engine/scale-probe.js', folder, sizeBytes, isFull, (image, own) => [
    image,
    join(own, 'state'),
    String(blockSize),
    String(writes),
  ]);
