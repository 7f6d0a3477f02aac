import { parseArgs } from 'node:util';
import { tableText, settingsText } from './table.js';
import { measureWorkload, obstacle, type BenchOptions } from './bench.js';
import type { Measurement } from './measurement.js';
import { RIVALS } from './rivals.js';
import type { Mounting } from './stage.js';
import { WORKLOADS } from './workloads.js';

const USAGE = `npm run bench:wire -- [options]
  --only NAME,…     of: ${WORKLOADS.map(({ name }) => name).join(' ')}
  --rivals NAME,…   of: ${[...RIVALS.map(({ name }) => name), 'content'].join(', ')}; or none; all unless given
  --size full|small images of 256 MiB, or 64
  --seed N          another seed, other images
  --block-size N    of volume and file system (4096)
  --page-size N     of the databases (4096)
  --rate N          bytes per second of the line that is encoded for (3360: a modem)
  --mount loop|fuse2fs  loop for root, fuse2fs for others
  --keep DIR        keeps images, and what the rivals cost, for the next run
  --json            one JSON value instead of the table
`;

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    rivals: { type: 'string' },
    size: { type: 'string', default: 'full' },
    seed: { type: 'string', default: '1' },
    'block-size': { type: 'string', default: '4096' },
    'page-size': { type: 'string', default: '4096' },
    rate: { type: 'string', default: '3360' },
    mount: { type: 'string', default: process.getuid?.() === 0 ? 'loop' : 'fuse2fs' },
    keep: { type: 'string' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  process.stdout.write(USAGE);
  process.exit(0);
}

const names = (list: string | undefined, all: readonly string[]): readonly string[] => {
  if (list === undefined) return all;
  const chosen = list === 'none' ? [] : list.split(',');
  const unknown = chosen.filter((name) => !all.includes(name));
  if (unknown.length > 0) wrong(`unknown: ${unknown.join(', ')}`);
  return chosen;
};
const number = (text: string): number => {
  const value = Number(text);
  return Number.isSafeInteger(value) && value > 0 ? value : wrong(`not a number: ${text}`);
};
function wrong(what: string): never {
  process.stderr.write(`${what}\n${USAGE}`);
  process.exit(2);
}

const say = (text: string): void => void process.stderr.write(`${text}\n`);
const only = names(
  values.only,
  WORKLOADS.map(({ name }) => name),
);
if (values.size !== 'full' && values.size !== 'small') wrong(`no such size: ${values.size}`);
if (values.mount !== 'loop' && values.mount !== 'fuse2fs') wrong(`no such mount: ${values.mount}`);
const options: BenchOptions = {
  seed: number(values.seed),
  blockSize: number(values['block-size']),
  pageSize: number(values['page-size']),
  size: values.size,
  mounting: values.mount satisfies Mounting,
  keep: values.keep ?? null,
  bytesPerSecond: number(values.rate),
  rivals: new Set(names(values.rivals, [...RIVALS.map(({ name }) => name), 'content'])),
  say,
};

const rows: Measurement[] = [];
let failed = false;
for (const workload of WORKLOADS.filter(({ name }) => only.includes(name))) {
  const problem = obstacle(workload, options);
  if (problem !== null) {
    say(`${workload.name}: left out, ${problem}`);
    continue;
  }
  try {
    rows.push(await measureWorkload(workload, options));
  } catch (error) {
    failed = true;
    say(`${workload.name}: FAILED: ${(error as Error).stack ?? ''}`);
  }
}
if (values.json) {
  process.stdout.write(
    `${JSON.stringify({ options: { ...options, rivals: [...options.rivals] }, rows }, null, 2)}\n`,
  );
} else {
  process.stdout.write(`${tableText(rows)}\n`);
  if (rows.some(({ rivals }) => Object.keys(rivals).length > 0)) say(settingsText(rows));
}
process.exitCode = failed || rows.length === 0 ? 1 : 0;
