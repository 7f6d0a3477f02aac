import type { BenchPart } from '../bench-part.js';
import { median, type Table } from '../table.js';
import { probeVolume } from './probing.js';
import type { Found } from './volume-probe.js';

const SIZE = 100 * 2 ** 30;
const MOST = 1.5;

/** Random writes over 100 GiB on the real disk, with the tracking and without, in turn. */
export const writeLatency: BenchPart = {
  name: 'latency',
  async run({ rounds, seconds, note, sandbox }): Promise<Table> {
    const found = { plain: [] as Found[], tracked: [] as Found[] };
    for (let round = 1; round <= rounds; round++) {
      note(`random writes over 100 GiB, round ${round} of ${rounds}`);
      for (const kind of ['plain', 'tracked'] as const) {
        found[kind].push(await probeVolume(kind, sandbox.folder, SIZE, seconds));
      }
    }
    const ratio = median(found.tracked.map(({ p99Ms }, i) => p99Ms / (found.plain[i]?.p99Ms ?? NaN)));
    const row = (name: string, all: readonly Found[], share: string): string[] => [
      name,
      `${median(all.map(({ p99Ms }) => p99Ms)).toFixed(2)} ms`,
      share,
      String(Math.round(median(all.map(({ writes }) => writes / seconds)))),
      median(all.map(({ syncs }) => syncs / seconds)).toFixed(1),
    ];
    return {
      title: `Random writes of 4 KiB over a sparse 100 GiB on the disk, 16 at a time, each a first one; medians of ${rounds}, ${seconds} s each`,
      columns: ['', '99th percentile', 'ratio (at most)', 'writes/s', 'syncs/s'],
      rows: [
        row('without tracking', found.plain, ''),
        row('with tracking', found.tracked, `${ratio.toFixed(2)} (${MOST.toFixed(2)})`),
      ],
      missed: ratio > MOST ? [`99th percentile: ${ratio.toFixed(2)} times, at most ${MOST} wanted`] : [],
    };
  },
};
