/** The process that `scale.test.ts` measures: `scale-probe.js IMAGE FOLDER BLOCK_SIZE WRITES`; prints one JSON value. */
import * as fs from 'node:fs';
import { pathToFileURL } from 'node:url';
import { blockIndex } from '../../../protocol/units.js';
import { Volume } from '../../../src/engine/volume.js';
import { systemClock } from '../../../src/platform/clock.js';
import { nodeFiles } from '../../../src/platform/node-files.js';
import { systemRandom } from '../../../src/platform/random.js';
import { pattern } from './engine-bench.js';

export interface ScaleFound {
  readonly openMs: number;
  readonly openRssMb: number;
  readonly collectMs: number;
  readonly writtenRssMb: number;
  readonly writeMs: number;
  readonly reopenMs: number;
  readonly beforeImageMb: number;
}

/** Memory of the process that is its own. */
function rssMb(): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(fs.readFileSync('/proc/self/status', 'latin1'));
  return Math.round(Number(line?.[1] ?? 0) / 1024);
}

async function probe(image: string, folder: string, blockSize: number, writes: number): Promise<ScaleFound> {
  const open = (): Promise<Volume> =>
    Volume.open({
      name: 'large',
      device: image,
      blockSize,
      folder,
      beforeImageBudgetBytes: 16 * 2 ** 30,
      files: nodeFiles,
      clock: systemClock,
      random: systemRandom,
    });
  const timed = async <T>(work: () => Promise<T>): Promise<[T, number]> => {
    const start = performance.now();
    const result = await work();
    return [result, Math.round(performance.now() - start)];
  };
  const [first, openMs] = await timed(open);
  const openRssMb = rssMb();
  const state = await first.seal({ grade: 'crash', pinAs: ['vault'] });
  const [, collectMs] = await timed(() =>
    first.collect({ from: null, to: state.id, cursor: blockIndex(0), maxContentBytes: 1 << 25 }),
  );
  const blocks = fs.statSync(image).size / blockSize;
  const stride = Math.max(1, Math.floor(blocks / writes));
  const bytes = pattern(1, blockSize);
  const [, writeMs] = await timed(async () => {
    for (let i = 0; i < writes; i++) {
      await first.backend.write(i * stride * blockSize, bytes, false);
      if (i % 1000 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  });
  const writtenRssMb = rssMb();
  const { beforeImageBytes } = await first.describe();
  await first.close();
  const [second, reopenMs] = await timed(open);
  await second.close();
  const beforeImageMb = Math.round(beforeImageBytes / 2 ** 20);
  return { openMs, openRssMb, collectMs, writeMs, writtenRssMb, reopenMs, beforeImageMb };
}

const [, script, image, folder, blockSize, writes] = process.argv;
if (import.meta.url === pathToFileURL(script ?? '').href && image !== undefined && folder !== undefined) {
  console.log(JSON.stringify(await probe(image, folder, Number(blockSize), Number(writes))));
}
