import { spawnSync } from 'node:child_process';
import { chown, mkdir, readdir, appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { must, type RunOptions } from '../../../support/program.js';
import { imageBytes, makeStage, type Making, type Workload } from '../workload.js';

const SLOW: RunOptions = { timeoutMs: 600_000, cwd: '/' };

/** A cluster of its own in a folder. PostgreSQL refuses to run as root: then it is run as its own user. */
class Cluster {
  private constructor(
    readonly programs: string,
    readonly folder: string,
    readonly socket: string,
    readonly log: string,
    readonly user: readonly string[],
  ) {}

  static async create(making: Making, folder: string): Promise<Cluster> {
    const asRoot = process.getuid?.() === 0;
    // Its folder is closed to others, and what is below it too.
    const socket = making.sandbox.path('pg');
    await mkdir(socket);
    await mkdir(folder);
    if (asRoot) {
      const [uid, gid] = await Promise.all(['-u', '-g'].map((flag) => must('id', [flag, 'postgres'])));
      for (const path of [socket, folder]) await chown(path, Number(uid), Number(gid));
      await must('chmod', ['711', making.sandbox.folder]);
    }
    const user = asRoot ? ['runuser', '-u', 'postgres', '--'] : [];
    const cluster = new Cluster(await programsFolder(), folder, socket, join(socket, 'log'), user);
    const walSegment = making.size === 'full' ? 16 : 2;
    await cluster.run('initdb', [
      ...['-D', folder, '-A', 'trust', '-U', 'bench', '--locale=C', '-E', 'UTF8'],
      ...['--wal-segsize', String(walSegment), '--data-checksums'],
    ]);
    const settings = [
      `unix_socket_directories = '${socket}'`,
      `listen_addresses = ''`,
      `min_wal_size = '${2 * walSegment}MB'`,
      `max_wal_size = '${4 * walSegment}MB'`,
      // Whatever runs by the clock would make two runs differ.
      `autovacuum = off`,
      `fsync = on`,
    ];
    await appendFile(join(folder, 'postgresql.conf'), `${settings.join('\n')}\n`);
    await cluster.run('pg_ctl', ['start', '-w', '-s', '-D', folder, '-l', cluster.log]);
    const [program = '', ...args] = [
      ...user,
      join(cluster.programs, 'pg_ctl'),
      ...['stop', '-m', 'immediate', '-s', '-D', folder],
    ];
    making.sandbox.defer(
      'PostgreSQL',
      () => undefined,
      () => void spawnSync(program, args),
    );
    return cluster;
  }

  run(program: string, args: readonly string[]): Promise<string> {
    const [first = '', ...rest] = [...this.user, join(this.programs, program), ...args];
    return must(first, rest, SLOW);
  }

  pgbench(...args: readonly string[]): Promise<string> {
    return this.run('pgbench', ['-h', this.socket, '-U', 'bench', ...args, 'postgres']);
  }

  async checkpoint(): Promise<void> {
    await this.run('psql', ['-q', '-h', this.socket, '-U', 'bench', '-c', 'CHECKPOINT', 'postgres']);
  }

  async stop(): Promise<void> {
    await this.run('pg_ctl', ['stop', '-w', '-s', '-m', 'fast', '-D', this.folder]);
  }
}

const INSTALLED = '/usr/lib/postgresql';

/** Debian keeps the server's programs out of the way, by version; the newest counts. */
async function programsFolder(): Promise<string> {
  const versions = (await readdir(INSTALLED).catch(() => [])).map(Number).sort((a, b) => b - a);
  if (versions.length === 0) throw new Error('PostgreSQL has no server installed here');
  return join(INSTALLED, String(versions[0]), 'bin');
}

async function pgbench(making: Making): Promise<void> {
  const isFull = making.size === 'full';
  const stage = await makeStage(making, imageBytes(making, 128 << 20));
  const cluster = await Cluster.create(making, join(stage.folder, 'cluster'));
  try {
    await cluster.pgbench('-q', '-i', '-s', isFull ? '4' : '1');
    await cluster.checkpoint();
    await stage.capture(making.before);
    const count = isFull ? '500' : '50';
    await cluster.pgbench('-n', '-c', '1', '-t', count, `--random-seed=${making.seed}`);
    await cluster.checkpoint();
    await stage.capture(making.after);
  } finally {
    await cluster.stop();
  }
  await stage.unmount();
}

export const postgresWorkloads: readonly Workload[] = [
  {
    name: 'pgbench',
    title: 'pgbench scale 4, 500 transactions, checkpoint',
    needs: ['mkfs.ext4', 'pgbench', 'psql'],
    make: pgbench,
  },
];
