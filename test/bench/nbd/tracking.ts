import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { BenchOptions, BenchPart } from '../bench-part.js';
import { median, type Table } from '../table.js';
import { fio, type FioJob } from './fio.js';
import { startServer, type ServerKind } from './servers.js';
import { fill, touchMemory } from './throughput.js';

const SIZE = 2 ** 28;
const WRITES: FioJob = { rw: 'randwrite', blockBytes: 4096, depth: 16, sizeBytes: SIZE };

/** What noting changes costs a write: beside the same server without an engine, in the same round. */
export const trackingCost: BenchPart = {
  name: 'tracking',
  async run(options): Promise<Table> {
    const content = join(options.memory, 'content');
    fill(content, SIZE);
    const rates = {
      first: [] as number[],
      firstPlain: [] as number[],
      again: [] as number[],
      againPlain: [] as number[],
    };
    for (let round = 1; round <= options.rounds; round++) {
      options.note(`the cost of tracking, round ${round} of ${options.rounds}`);
      const plain = await bothPasses('no tracking', content, options);
      const pinned = await bothPasses('farcopy, pinned', content, options);
      rates.firstPlain.push(plain.first);
      rates.againPlain.push(plain.again);
      rates.first.push(pinned.first);
      rates.again.push(pinned.again);
    }
    rmSync(content);
    const missed: string[] = [];
    const row = (name: string, ours: readonly number[], plain: readonly number[], goal: number): string[] => {
      const ratio = median(ours.map((rate, i) => rate / (plain[i] ?? NaN)));
      if (ratio < goal) missed.push(`${name}: ${ratio.toFixed(2)}, ${goal.toFixed(2)} wanted`);
      const cells = [ours, plain].map((values) => `${Math.round(median(values))} IOPS`);
      return [name, ...cells, `${ratio.toFixed(2)} (${goal.toFixed(2)})`];
    };
    return {
      title: `Random writes of 4 KiB, depth 16, with tracking and without, in memory; medians of ${options.rounds}`,
      columns: ['', 'with', 'without', 'ratio (goal)'],
      rows: [
        row('first write of a block, before-image kept', rates.first, rates.firstPlain, 0.6),
        row('block that is marked already', rates.again, rates.againPlain, 1 / 1.05),
      ],
      missed,
    };
  },
};

/** Requests a second when each block is written once, and when all are written for the second time. */
async function bothPasses(
  kind: ServerKind,
  content: string,
  options: BenchOptions,
): Promise<{ readonly first: number; readonly again: number }> {
  const folder = join(options.memory, kind.replaceAll(/\W/g, ''));
  const server = await startServer(kind, content, folder, options);
  touchMemory(options.memory, 2 * SIZE);
  const first = await fio(server.uri, { ...WRITES, once: true }, options.memory);
  const again = await fio(server.uri, { ...WRITES, seconds: options.seconds }, options.memory);
  await server.stop();
  rmSync(folder, { recursive: true });
  return { first: first.iops, again: again.iops };
}
