/**
 * `npm run bench:link`: issue 5's table in real time over ptys, then a line with bursts, overruns, an outage and a
 * hang-up; then TCP. `--seeds N` (5), `--jobs N` lines at once (8), `--only WORDS` the rows whose name has these words,
 * `--only tcp` that part alone, `--profiles FOLDER` for V8's profiles of its two ends.
 */
import { parseArgs } from 'node:util';
import { formatTable } from '../table.js';
import { memoryFolder, tcpTable } from './tcp/tcp.js';
import { Sandbox } from '../../support/sandbox.js';
import { CELLS, goodput, mean, payloadOf } from './cells.js';
import { ptyRun, type PtyRun } from './pty-run.js';
import type { PtyLine, PtyLineSettings } from './pty-line.js';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '5' },
    jobs: { type: 'string', default: '8' },
    only: { type: 'string', default: '' },
    profiles: { type: 'string' },
  },
});
const seeds = Array.from({ length: Number(values.seeds) }, (_, index) => index + 1);

interface Row {
  readonly name: string;
  readonly line: Omit<PtyLineSettings, 'seed'>;
  readonly payload: number;
  readonly asked: string;
  readonly during?: (line: PtyLine) => Promise<void>;
  /** What the disturbance itself takes, ms. */
  readonly apart?: number;
}

/** 16 MiB each, for each of two sets. */
const TCP_PARCELS = 32;

const passed = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const plain = { baud: 57600, latency: 0 };
const ROWS: readonly Row[] = [
  ...CELLS.map((cell) => ({
    name: `${cell.baud} baud ${cell.latency} ms ${cell.bitErrorRate.toExponential(0)}`,
    line: cell,
    payload: payloadOf(cell),
    asked: `${cell.target} %`,
  })),
  {
    name: 'bursts',
    line: { ...plain, bursts: { every: 20_000, length: 40, bitErrorRate: 0.05 } },
    payload: 300_000,
    asked: 'above lrzsz and UUCP i',
  },
  {
    name: 'overruns',
    line: { ...plain, overruns: { rate: 1e-5, bytes: 16 } },
    payload: 300_000,
    asked: 'above lrzsz and UUCP i',
  },
  {
    name: 'outage of 20 s',
    line: plain,
    payload: 300_000,
    asked: '1 s more, 1.03 times the payload',
    apart: 20_000,
    during: async (line) => {
      await passed(26_000);
      line.fail(20_000);
    },
  },
  {
    name: 'hang-up of 5 s',
    line: plain,
    payload: 300_000,
    asked: '1.5 s more, 1.02 times the payload',
    apart: 5000,
    during: async (line) => {
      await passed(26_000);
      await line.close();
      await passed(5000);
      await line.open();
    },
  },
];

const sandbox = Sandbox.create();
try {
  const rows = ROWS.filter(({ name }) => name.includes(values.only));
  const runs = rows.map(() => [] as PtyRun[]);
  const jobs = rows.flatMap((row, index) => seeds.map((seed) => ({ row, index, seed })));
  const work = async (): Promise<void> => {
    for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) {
      const { row, index, seed } = job;
      runs[index]?.push(
        await ptyRun(sandbox, `line-${index}-${seed}`, { ...row.line, seed }, row.payload, row.during),
      );
      if (runs[index]?.length === seeds.length) tell(row, runs[index]);
    }
  };
  await Promise.all(Array.from({ length: Number(values.jobs) }, work));
  if ('tcp'.includes(values.only)) {
    const folders = [
      ['memory', memoryFolder(sandbox)],
      ['disk', sandbox.folder],
    ] as const;
    const { profiles } = values;
    console.log(formatTable(await tcpTable(sandbox, { parcels: TCP_PARCELS, folders, profiles })));
  }
} finally {
  await sandbox.close();
}

function tell({ name, line, payload, asked, apart = 0 }: Row, runs: readonly PtyRun[]): void {
  const percent = mean(runs.map(({ ms }) => goodput(payload, line.baud, ms - apart)));
  const sent = mean(runs.map(({ bytesOut }) => bytesOut / payload));
  const seconds = mean(runs.map(({ ms }) => ms / 1000));
  console.log(
    `${name.padEnd(26)} ${percent.toFixed(2)} % (asked: ${asked})  ${seconds.toFixed(1)} s` +
      `${apart === 0 ? '' : `, ${apart / 1000} of them the disturbance`}, sent ${sent.toFixed(3)} times the payload`,
  );
}
