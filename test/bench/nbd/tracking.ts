import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { BenchOptions, BenchPart } from '../bench-part.js';
import { median, type Table } from '../table.js';
import { fio, type FioJob } from './fio.js';
import { startServer, type ServerKind } from './servers.js';
import { fill, touchMemory } from './throughput.js';

const SIZE = 2 ** 28;
const WRITES: FioJob = { rw: 'randwrite', blockBytes: 4096, depth: 16, sizeBytes: SIZE };

/** Of what the same server does without an engine. */
const FIRST_GOAL = 0.6;
const AGAIN_GOAL = 1 / 1.05;
/** Of nbdkit, for writes at random (`throughput.ts`): with that goal, what a first write was to reach of nbdkit too. */
const PLAIN_GOAL = 0.75;

interface Rates {
  readonly first: number;
  readonly again: number;
}

/** What noting changes costs a write: beside the same server without an engine, and nbdkit, in the same round. */
export const trackingCost: BenchPart = {
  name: 'tracking',
  async run(options): Promise<Table> {
    const content = join(options.memory, 'content');
    fill(content, SIZE);
    const rounds: { readonly ours: Rates; readonly plain: Rates; readonly nbdkit: Rates }[] = [];
    for (let round = 1; round <= options.rounds; round++) {
      options.note(`the cost of tracking, round ${round} of ${options.rounds}`);
      const plain = await bothPasses('no tracking', content, options);
      const ours = await bothPasses('farcopy, pinned', content, options);
      const nbdkit = await bothPasses('nbdkit', content, options);
      rounds.push({ ours, plain, nbdkit });
    }
    rmSync(content);
    const missed: string[] = [];
    const row = (name: string, pass: keyof Rates, goal: number): string[] => {
      const ratioTo = (peer: 'plain' | 'nbdkit'): number =>
        median(rounds.map((round) => round.ours[pass] / round[peer][pass]));
      const ratio = ratioTo('plain');
      if (ratio < goal) missed.push(`${name}: ${ratio.toFixed(2)}, ${goal.toFixed(2)} wanted`);
      const cells = (['ours', 'plain', 'nbdkit'] as const).map(
        (who) => `${Math.round(median(rounds.map((round) => round[who][pass])))} IOPS`,
      );
      const [ofNbdkit, goalOfNbdkit] = [ratioTo('nbdkit'), goal * PLAIN_GOAL];
      if (ofNbdkit < goalOfNbdkit)
        missed.push(`${name}: ${ofNbdkit.toFixed(2)} of nbdkit, ${goalOfNbdkit.toFixed(2)} wanted`);
      const toNbdkit = `${ofNbdkit.toFixed(2)} (${goalOfNbdkit.toFixed(2)})`;
      return [name, ...cells, `${ratio.toFixed(2)} (${goal.toFixed(2)})`, toNbdkit];
    };
    return {
      title: `Random writes of 4 KiB, depth 16, with tracking and without, in memory; medians of ${options.rounds}`,
      columns: ['', 'with', 'without', 'nbdkit', 'to without (goal)', 'to nbdkit (goal times its own)'],
      rows: [
        row('first write of a block, before-image kept', 'first', FIRST_GOAL),
        row('block that is marked already', 'again', AGAIN_GOAL),
      ],
      missed,
    };
  },
};

/** Requests a second when each block is written once, and when all are written for the second time. */
async function bothPasses(kind: ServerKind, content: string, options: BenchOptions): Promise<Rates> {
  const folder = join(options.memory, kind.replaceAll(/\W/g, ''));
  const server = await startServer(kind, content, folder, options);
  touchMemory(options.memory, 2 * SIZE);
  const first = await fio(server.uri, { ...WRITES, once: true }, options.memory);
  const again = await fio(server.uri, { ...WRITES, seconds: options.seconds }, options.memory);
  await server.stop();
  rmSync(folder, { recursive: true });
  return { first: first.iops, again: again.iops };
}
