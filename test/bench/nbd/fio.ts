import { must } from '../../support/program.js';

export interface FioJob {
  readonly rw: 'randread' | 'randwrite' | 'read' | 'write';
  readonly blockBytes: number;
  readonly depth: number;
  readonly sizeBytes: number;
  /** Absent: until `sizeBytes` are done. */
  readonly seconds?: number;
  /** Each block at most once. */
  readonly once?: boolean;
}

export interface FioResult {
  /** Requests a second. */
  readonly iops: number;
  /** 99th percentile of the time of a request, in milliseconds. */
  readonly p99Ms: number;
}

interface FioReport {
  readonly jobs: readonly Record<
    'read' | 'write',
    { readonly iops: number; readonly clat_ns: { readonly percentile?: Readonly<Record<string, number>> } }
  >[];
}

/** Runs one job of fio's nbd engine, as one client on one connection. */
export async function fio(uri: string, job: FioJob, cwd: string): Promise<FioResult> {
  const time =
    job.seconds === undefined ? [] : ['--time_based', `--runtime=${job.seconds}`, '--ramp_time=0.5'];
  const report = await must(
    'fio',
    [
      '--name=bench',
      '--ioengine=nbd',
      `--uri=${uri}`,
      '--thread',
      `--rw=${job.rw}`,
      `--bs=${job.blockBytes}`,
      `--iodepth=${job.depth}`,
      `--size=${job.sizeBytes}`,
      ...(job.once === true ? [] : ['--norandommap']),
      ...time,
      '--output-format=json',
    ],
    { cwd, timeoutMs: 600_000 },
  );
  // Its engine says first that it has connected.
  const [result] = (JSON.parse(report.slice(report.indexOf('{'))) as FioReport).jobs;
  const side = result?.[job.rw.endsWith('read') ? 'read' : 'write'];
  if (side === undefined) throw new Error(`fio told nothing: ${report}`);
  return { iops: side.iops, p99Ms: (side.clat_ns.percentile?.['99.000000'] ?? NaN) / 1e6 };
}
