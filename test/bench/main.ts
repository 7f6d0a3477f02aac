/** `npm run bench [-- --only NAME,…] [--rounds N] [--seconds S] [--json]`: what farcopy's volumes cost, in tables. */
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { Sandbox } from '../support/sandbox.js';
import type { BenchPart } from './bench-part.js';
import { nbdThroughput } from './nbd/throughput.js';
import { trackingCost } from './nbd/tracking.js';
import { formatTable, type Table } from './table.js';
import { writeLatency } from './volume/latency.js';
import { volumeSize } from './volume/size.js';

const PARTS: readonly BenchPart[] = [nbdThroughput, trackingCost, writeLatency, volumeSize];

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '3' },
    json: { type: 'boolean', default: false },
  },
});
const chosen = values.only?.split(',') ?? PARTS.map(({ name }) => name);
const unknown = chosen.filter((name) => !PARTS.some((part) => part.name === name));
if (unknown.length > 0) {
  console.error(`no part ${unknown.join(', ')}; there are ${PARTS.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}

const note = (text: string): void => void process.stderr.write(`${text} …\n`);
const tables: Table[] = [];
for (const part of PARTS.filter(({ name }) => chosen.includes(name))) {
  const sandbox = Sandbox.create();
  const memory = mkdtempSync('/dev/shm/farcopy-bench-');
  const clear = (): void => rmSync(memory, { recursive: true, force: true });
  sandbox.defer('the folder in memory', clear, clear);
  try {
    const options = { rounds: Number(values.rounds), seconds: Number(values.seconds), sandbox, memory, note };
    const table = await part.run(options);
    tables.push(table);
    if (!values.json) console.log(`${formatTable(table)}\n`);
  } finally {
    await sandbox.close();
  }
}
const machine = `${cpus().length} × ${cpus()[0]?.model.trim() ?? '?'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.version}`;
if (values.json) console.log(JSON.stringify({ machine, tables }, null, 2));
else console.log(machine);
