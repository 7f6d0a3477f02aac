/*
 * What the log of hot extents costs a write: `node dist/test/bench/engine/hot-extents.js [FOLDER]`, the folder being on
 * the disk to be measured (it takes some 100 MB; a sparse file of 100 GiB is made in it). Prints microseconds a write of
 * 4 KiB, and how many syncs of the log there were.
 *
 *   plain      `pwrite` to the same file, without an engine
 *   marked     to blocks that are marked already, in hot extents: the steady state
 *   first      to fresh blocks of hot extents
 *   cold       anywhere in 100 GiB, 16 under way: an extent's first write waits for a sync of the log
 */
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Volume } from '../../../src/engine/volume.js';
import { systemClock } from '../../../src/platform/clock.js';
import type { File, Files } from '../../../src/platform/files.js';
import { nodeFiles } from '../../../src/platform/node-files.js';
import { systemRandom } from '../../../src/platform/random.js';
import { Seeded } from '../../support/seeded.js';

const BLOCK = 4096;
const SIZE = 100 * 2 ** 30;
const UNDER_WAY = 16;
const COLD_WRITES = 20_000;

/** The real files, counting the syncs of the hot log. */
function counting(): Files & { syncs: number } {
  const files = {
    ...nodeFiles,
    syncs: 0,
    async open(path: string, mode: Parameters<Files['open']>[1]): Promise<File> {
      const file = await nodeFiles.open(path, mode);
      if (!path.endsWith('hot.log')) return file;
      const sync = file.syncContent?.bind(file) ?? file.sync.bind(file);
      file.syncContent = () => {
        files.syncs++;
        return sync();
      };
      return file;
    },
  };
  return files;
}

const percentile = (sorted: readonly number[], share: number): string =>
  (sorted[Math.floor((sorted.length - 1) * share)] ?? 0).toFixed(1);

function tell(what: string, micros: number[], note = ''): void {
  micros.sort((a, b) => a - b);
  const [p50, p99, worst] = [0.5, 0.99, 1].map((share) => percentile(micros, share));
  console.log(
    `${what.padEnd(8)} median ${String(p50).padStart(9)} µs   p99 ${String(p99).padStart(9)} µs   worst ${String(worst).padStart(9)} µs   ${note}`,
  );
}

async function timed(
  write: (i: number) => void | Promise<void>,
  count: number,
  underWay: number,
): Promise<number[]> {
  const micros: number[] = [];
  let next = 0;
  const one = async (): Promise<void> => {
    for (let i = next++; i < count; i = next++) {
      const start = performance.now();
      const written = write(i);
      // What was done at once is not made to wait for a turn.
      if (written !== undefined) await written;
      micros.push((performance.now() - start) * 1000);
      if (i % 256 === 255) await new Promise((resolve) => setImmediate(resolve));
    }
  };
  await Promise.all(Array.from({ length: underWay }, one));
  return micros;
}

const folder = fs.mkdtempSync(join(process.argv[2] ?? tmpdir(), 'farcopy-hot-'));
try {
  const image = join(folder, 'image');
  fs.writeFileSync(image, '');
  fs.truncateSync(image, SIZE);
  const bytes = new Seeded(1).bytes(BLOCK);
  const plain = fs.openSync(image, 'r+');
  tell(
    'plain',
    await timed((i) => void fs.writeSync(plain, bytes, 0, BLOCK, (i % 4096) * BLOCK), 200_000, 1),
  );
  fs.closeSync(plain);
  const files = counting();
  const volume = await Volume.open({
    ...{ name: 'bench', device: image, blockSize: BLOCK, folder: join(folder, 'state') },
    ...{ beforeImageBudgetBytes: 2 ** 30, files, clock: systemClock, random: systemRandom },
  });
  const write = (block: number): void | Promise<void> => volume.backend.write(block * BLOCK, bytes, false);
  for (let block = 0; block < 4096; block++) await write(block);
  tell('marked', await timed((i) => write(i % 4096), 200_000, 1));
  await volume.seal({ grade: 'crash', pinAs: [] });
  tell('first', await timed(write, 4096, 1));
  const seeded = new Seeded(2);
  const before = files.syncs;
  const cold = await timed(() => write(seeded.below(SIZE / BLOCK)), COLD_WRITES, UNDER_WAY);
  tell('cold', cold, `${files.syncs - before} syncs of the log for ${COLD_WRITES} writes`);
  await volume.close();
} finally {
  fs.rmSync(folder, { recursive: true, force: true });
}
