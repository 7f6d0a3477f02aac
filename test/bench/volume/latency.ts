import { rmSync, mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import type { BenchOptions, BenchPart } from '../bench-part.js';
import { fio, type FioResult } from '../nbd/fio.js';
import { startServer } from '../nbd/servers.js';
import { median, type Table } from '../table.js';
import { probeVolume } from './probing.js';
import type { Found } from './volume-probe.js';

const SIZE = 100 * 2 ** 30;
const MOST = 1.5;

/** The same as a client sees it, over NBD. */
async function overNbd(kind: 'no tracking' | 'farcopy, pinned', options: BenchOptions): Promise<FioResult> {
  const folder = options.sandbox.path(`latency-${kind.replaceAll(/\W/g, '')}`);
  mkdirSync(folder);
  writeFileSync(`${folder}/image`, '');
  truncateSync(`${folder}/image`, SIZE);
  const server = await startServer(kind, `${folder}/image`, folder, options);
  const { seconds } = options;
  const job = { rw: 'randwrite', blockBytes: 4096, depth: 16, sizeBytes: SIZE, seconds } as const;
  const result = await fio(server.uri, job, folder);
  await server.stop();
  rmSync(folder, { recursive: true });
  return result;
}

/** Random writes over 100 GiB on the real disk, with the tracking and without, in turn. */
export const writeLatency: BenchPart = {
  name: 'latency',
  async run(options): Promise<Table> {
    const { rounds, seconds, note, sandbox } = options;
    const clients = { plain: [] as FioResult[], tracked: [] as FioResult[] };
    const found = { plain: [] as Found[], tracked: [] as Found[] };
    for (let round = 1; round <= rounds; round++) {
      note(`random writes over 100 GiB, round ${round} of ${rounds}`);
      for (const kind of ['plain', 'tracked'] as const) {
        found[kind].push(await probeVolume(kind, sandbox.folder, SIZE, seconds));
      }
      clients.plain.push(await overNbd('no tracking', options));
      clients.tracked.push(await overNbd('farcopy, pinned', options));
    }
    const ratio = median(found.tracked.map(({ p99Ms }, i) => p99Ms / (found.plain[i]?.p99Ms ?? NaN)));
    const clientRow = (name: string, all: readonly FioResult[], share: string): string[] => [
      name,
      `${median(all.map(({ p99Ms }) => p99Ms)).toFixed(2)} ms`,
      share,
      String(Math.round(median(all.map(({ iops }) => iops)))),
      '',
    ];
    const clientRatio = median(
      clients.tracked.map(({ p99Ms }, i) => p99Ms / (clients.plain[i]?.p99Ms ?? NaN)),
    );
    const row = (name: string, all: readonly Found[], share: string): string[] => [
      name,
      `${median(all.map(({ p99Ms }) => p99Ms)).toFixed(2)} ms`,
      share,
      String(Math.round(median(all.map(({ writes }) => writes / seconds)))),
      median(all.map(({ syncs }) => syncs)).toFixed(0),
    ];
    return {
      title: `Random writes of 4 KiB over a sparse 100 GiB on the disk, 16 at a time, each a first one; medians of ${rounds}, ${seconds} s each, after one of which only the syncs count`,
      columns: ['', '99th percentile', 'ratio (at most)', 'writes/s', 'syncs'],
      rows: [
        row('without tracking', found.plain, ''),
        row('with tracking', found.tracked, `${ratio.toFixed(2)} (${MOST.toFixed(2)})`),
        clientRow('a client over NBD, without', clients.plain, ''),
        clientRow('a client over NBD, with', clients.tracked, clientRatio.toFixed(2)),
      ],
      missed: ratio > MOST ? [`99th percentile: ${ratio.toFixed(2)} times, at most ${MOST} wanted`] : [],
    };
  },
};
