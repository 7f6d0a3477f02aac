import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Sandbox } from '../../../support/sandbox.js';
import type { ProcessUse } from './process-use.js';
import type { SentSet } from './source-end.js';

export interface TcpRunOptions {
  /** Where spool and store are: in memory or on a disk. */
  readonly folder: string;
  /** Parcels of 16 MiB in each of the two sets. */
  readonly parcels: number;
  /** Processor time of both sides goes there as V8 profiles; undefined: not taken. */
  readonly profiles?: string | undefined;
}

export interface TcpRun {
  readonly sets: readonly SentSet[];
  /** Of the backup, over both sets. */
  readonly target: ProcessUse;
}

/** Each side on a processor of its own, where that can be said. */
const TASKSET = '/usr/bin/taskset';

/** Two sets over TCP on loopback, from the spool of one process to the store of another. */
export async function tcpRun(sandbox: Sandbox, options: TcpRunOptions): Promise<TcpRun> {
  const folder = mkdtempSync(join(options.folder, 'farcopy-tcp-'));
  const clear = (): void => rmSync(folder, { recursive: true, force: true });
  sandbox.defer('spool and store of the TCP bench', clear, clear);
  try {
    const port = await freePort();
    const target = start(
      sandbox,
      'target-end.js',
      0,
      [join(folder, 'store'), String(port)],
      options.profiles,
    );
    const source = start(
      sandbox,
      'source-end.js',
      1,
      [folder, String(port), String(options.parcels)],
      options.profiles,
    );
    await Promise.all([said(target, 'up'), said(source, 'spooled')]);
    target.send('watch');
    source.send('send');
    const sets: SentSet[] = [];
    while (sets.length < 2) sets.push((await said(source, 'sent')) as SentSet);
    const use = said(target, 'use');
    target.send('told');
    const run = { sets, target: (await use) as ProcessUse };
    target.send('end');
    await Promise.all([once(target, 'exit'), ...(source.exitCode === null ? [once(source, 'exit')] : [])]);
    return run;
  } finally {
    clear();
  }
}

function start(
  sandbox: Sandbox,
  script: string,
  processor: number,
  args: readonly string[],
  profiles: string | undefined,
): ChildProcess {
  const path = fileURLToPath(new URL(script, import.meta.url));
  const flags = profiles === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', profiles];
  const pinned = existsSync(TASKSET);
  const child = fork(path, args, {
    ...(pinned
      ? { execPath: TASKSET, execArgv: ['-c', String(processor), process.execPath, ...flags] }
      : { execArgv: flags }),
    env: { ...process.env, UV_THREADPOOL_SIZE: '4' },
  });
  const end = (): void => void child.kill('SIGKILL');
  sandbox.defer(script, end, end);
  return child;
}

/** The next message of a child that has this field; rejects when it ends, or tells of trouble, before. */
function said(child: ChildProcess, field: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const hear = (message: unknown): void => {
      const told = message as Readonly<Record<string, unknown>>;
      if (told['trouble'] !== undefined) over(() => reject(new Error(String(told['trouble']))));
      else if (told[field] !== undefined) over(() => resolve(told[field]));
    };
    const ended = (): void => over(() => reject(new Error('one end of the TCP bench has ended early')));
    const over = (settle: () => void): void => {
      child.off('message', hear);
      child.off('exit', ended);
      settle();
    };
    child.on('message', hear);
    child.on('exit', ended);
  });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
