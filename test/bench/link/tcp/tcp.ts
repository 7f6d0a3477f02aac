import { mkdtempSync, rmSync } from 'node:fs';
import type { Sandbox } from '../../../support/sandbox.js';
import type { Table } from '../../table.js';
import { peaks } from './process-use.js';
import { tcpRun } from './run.js';

/** What issue 5 asks of a link over TCP on loopback with one core for each side. */
const MEGABYTES_A_SECOND = 100;

/** Memory counts as flat if its peak in the second half is at most so much above that in the first, MiB. */
const FLAT = 64;

export interface TcpBenchOptions {
  readonly parcels: number;
  readonly folders: readonly (readonly [name: string, folder: string])[];
  readonly profiles?: string | undefined;
}

/** Already encoded parcels from spool to store over TCP on loopback. */
export async function tcpTable(sandbox: Sandbox, options: TcpBenchOptions): Promise<Table> {
  const rows: string[][] = [];
  const missed: string[] = [];
  for (const [name, folder] of options.folders) {
    const { sets, target } = await tcpRun(sandbox, { ...options, folder });
    sets.forEach((set, index) => {
      const what = `${index === 0 ? 'first copy' : 'a set on top of it'}, ${name}`;
      const rate = set.bytes / 1e6 / set.kept;
      const memory = peaks(set.use);
      rows.push([
        what,
        `${(set.bytes / 1e6).toFixed(0)} MB`,
        rate.toFixed(0),
        (set.bytes / 1e6 / set.durable).toFixed(0),
        (set.use.processorSeconds / (set.bytes / 1e9)).toFixed(1),
        (set.use.processorSeconds / set.use.seconds).toFixed(2),
        `${memory.first}, ${memory.second} MiB`,
        String(set.repeated),
      ]);
      if (rate < MEGABYTES_A_SECOND)
        missed.push(`${what}: ${rate.toFixed(0)} MB/s of ${MEGABYTES_A_SECOND}.`);
      if (memory.second > memory.first + FLAT) missed.push(`${what}: the primary's memory grows.`);
    });
    const memory = peaks(target);
    const all = sets.reduce((sum, { bytes }) => sum + bytes, 0);
    rows.push([
      `the backup, over both, ${name}`,
      '',
      '',
      '',
      (target.processorSeconds / (all / 1e9)).toFixed(1),
      (target.processorSeconds / target.seconds).toFixed(2),
      `${memory.first}, ${memory.second} MiB`,
      '',
    ]);
    if (memory.second > memory.first + FLAT) missed.push(`${name}: the backup's memory grows.`);
  }
  return {
    title: 'Encoded parcels over TCP on loopback, from spool to store',
    columns: [
      '',
      'bytes',
      'MB/s until kept',
      'until DURABLE',
      'processor s a GB',
      'cores',
      'most memory, first and second half',
      'sent twice',
    ],
    rows,
    missed,
  };
}

/** A folder in memory, gone with the sandbox. */
export function memoryFolder(sandbox: Sandbox): string {
  const folder = mkdtempSync('/dev/shm/farcopy-bench-');
  const clear = (): void => rmSync(folder, { recursive: true, force: true });
  sandbox.defer('the folder in memory', clear, clear);
  return folder;
}
