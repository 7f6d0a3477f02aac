/**
 * `npm run bench:link`: issue 5's table in real time over ptys, then a line with bursts, overruns, an outage and a
 * hang-up; then TCP, and what calls cost that carry nothing. `--seeds N` (5), `--jobs N` lines at once (8), `--only WORDS` the
 * rows whose name has these words, `--only tcp` or `--only quiet` those parts alone, `--rivals` ZMODEM, UUCP `i` and Kermit on
 * the same lines, `--profiles FOLDER` for V8's profiles of both ends over TCP.
 */
import { parseArgs } from 'node:util';
import { Sandbox } from '../../support/sandbox.js';
import { formatTable } from '../table.js';
import { goodput, mean } from './cells.js';
import { ptyRun, type PtyRun } from './pty-run.js';
import { quietTable } from './quiet-calls.js';
import { RIVALS, rivalRun, type Rival, type RivalRun } from './rival-runs.js';
import { ROWS, type Row } from './rows.js';
import { memoryFolder, tcpTable } from './tcp/tcp.js';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '5' },
    jobs: { type: 'string', default: '8' },
    only: { type: 'string', default: '' },
    rivals: { type: 'boolean', default: false },
    profiles: { type: 'string' },
  },
});
const seeds = Array.from({ length: Number(values.seeds) }, (_, index) => index + 1);

/** Parcels of 16 MiB in each of two sets. */
const TCP_PARCELS = 32;

/** A rival that takes so many times as long as the line needs is not waited for any longer. */
const PATIENCE = 1.6;

const sandbox = Sandbox.create();
try {
  const rows = ROWS.filter(({ name }) => name.includes(values.only));
  const jobs = rows.flatMap(jobsOf);
  const work = async (): Promise<void> => {
    for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) await job();
  };
  await Promise.all(Array.from({ length: Number(values.jobs) }, work));
  if ('quiet'.includes(values.only)) console.log(`${formatTable(await quietTable(sandbox))}\n`);
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

/** What is to be run for a row; it is told when all of its seeds are through. */
function jobsOf(row: Row, index: number): (() => Promise<void>)[] {
  const runs: PtyRun[] = [];
  const ours = seeds.map((seed) => async () => {
    const line = { ...row.line, seed };
    runs.push(await ptyRun(sandbox, `line-${index}-${seed}`, line, row.payload, row.during));
    if (runs.length === seeds.length) tell(row, runs);
  });
  return values.rivals && row.during === undefined
    ? [...ours, ...RIVALS.flatMap((rival, place) => rivalJobs(row, rival, `rival-${index}-${place}`))]
    : ours;
}

function rivalJobs(row: Row, rival: Rival, name: string): (() => Promise<void>)[] {
  const { line, payload } = row;
  const limitMs = (PATIENCE * payload * 1000) / (line.baud / 10);
  const runs: RivalRun[] = [];
  return seeds.map((seed) => async () => {
    runs.push(await rivalRun(sandbox, rival, `${name}-${seed}`, { ...line, seed }, payload, limitMs));
    if (runs.length === seeds.length) tellRival(row, rival, runs);
  });
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

function tellRival({ name, line, payload }: Row, rival: Rival, runs: readonly RivalRun[]): void {
  const done = runs.flatMap(({ ms }) => (ms === null ? [] : [ms]));
  const percent =
    done.length === 0 ? '–' : mean(done.map((ms) => goodput(payload, line.baud, ms))).toFixed(2);
  const gaveUp = runs.length - done.length;
  const sent = mean(runs.map(({ bytesOut }) => bytesOut / payload));
  console.log(
    `${name.padEnd(26)} ${percent} % ${rival.name}${gaveUp === 0 ? '' : `, gave up or needed ${PATIENCE} times the line's time in ${gaveUp} of ${runs.length}`}` +
      `, sent ${sent.toFixed(3)} times the payload`,
  );
}
