import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { must } from '../../support/program.js';
import { Seeded } from '../../support/seeded.js';
import type { BenchOptions, BenchPart } from '../bench-part.js';
import { median, type Table } from '../table.js';
import { fio, type FioJob } from './fio.js';
import { startServer, type Server, type ServerKind } from './servers.js';

const GIB = 2 ** 30;
const KINDS = ['farcopy', 'nbdkit', 'qemu-nbd'] as const satisfies readonly ServerKind[];
type Kind = (typeof KINDS)[number];

interface Work {
  readonly name: string;
  /** What farcopy should reach, as a share of what the other does; null: reported, not judged. */
  readonly goals: Readonly<Record<'nbdkit' | 'qemu-nbd', number>> | null;
  readonly unit: string;
  measure(server: Server, options: BenchOptions): Promise<number>;
}

/** Requests a second of 4 KiB, or MiB a second of long ones. */
function fioWork(name: string, goals: Work['goals'], job: Pick<FioJob, 'rw' | 'blockBytes' | 'depth'>): Work {
  const isLong = job.blockBytes > 4096;
  return {
    name,
    goals,
    unit: isLong ? 'MiB/s' : 'IOPS',
    async measure({ uri }, { seconds, memory }) {
      const { iops } = await fio(uri, { ...job, sizeBytes: GIB, seconds }, memory);
      return isLong ? (iops * job.blockBytes) / 2 ** 20 : iops;
    },
  };
}

const copyWork = (name: string, goals: Work['goals'], isIn: boolean): Work => ({
  name,
  goals,
  unit: 'MiB/s',
  async measure({ uri }, { memory }) {
    const file = join(memory, isIn ? 'content' : 'copied');
    if (!isIn) touchMemory(memory, GIB);
    const began = performance.now();
    await must('nbdcopy', isIn ? [file, uri] : [uri, file]);
    const took = performance.now() - began;
    if (!isIn) rmSync(file);
    return 1024 / (took / 1000);
  },
});

const against = (nbdkit: number): Work['goals'] => ({ nbdkit, 'qemu-nbd': 1 });
const small = { blockBytes: 4096 };
const long = { blockBytes: 256 << 10, depth: 16 };

const WORKS: readonly Work[] = [
  fioWork('random read, 4 KiB, depth 1', null, { rw: 'randread', ...small, depth: 1 }),
  fioWork('random read, 4 KiB, depth 16', against(0.95), { rw: 'randread', ...small, depth: 16 }),
  fioWork('random write, 4 KiB, depth 1', null, { rw: 'randwrite', ...small, depth: 1 }),
  fioWork('random write, 4 KiB, depth 16', against(0.75), { rw: 'randwrite', ...small, depth: 16 }),
  fioWork('sequential read, 256 KiB, depth 16', against(0.95), { rw: 'read', ...long }),
  fioWork('sequential write, 256 KiB, depth 16', against(0.95), { rw: 'write', ...long }),
  copyWork('nbdcopy from it', against(0.7), false),
  copyWork('nbdcopy to it', against(0.7), true),
];

/** A volume with its tracking on beside nbdkit's file plugin and qemu-nbd, all on files of 1 GiB in memory. */
export const nbdThroughput: BenchPart = {
  name: 'nbd',
  async run(options): Promise<Table> {
    const content = join(options.memory, 'content');
    fill(content, GIB);
    const servers = new Map<Kind, Server>();
    for (const kind of KINDS) {
      servers.set(kind, await startServer(kind, content, join(options.memory, kind), options));
    }
    const found = new Map(
      WORKS.map((work) => [work, new Map<Kind, number[]>(KINDS.map((kind) => [kind, []]))]),
    );
    for (let round = 1; round <= options.rounds; round++) {
      options.note(`NBD, round ${round} of ${options.rounds}`);
      for (const work of WORKS) {
        for (const [kind, server] of servers) {
          found
            .get(work)
            ?.get(kind)
            ?.push(await work.measure(server, options));
        }
      }
    }
    for (const server of servers.values()) await server.stop();
    for (const kind of KINDS) rmSync(join(options.memory, kind), { recursive: true });
    rmSync(content);
    return told(found, options);
  },
};

function told(
  found: ReadonlyMap<Work, ReadonlyMap<Kind, readonly number[]>>,
  { rounds, seconds }: BenchOptions,
): Table {
  const missed: string[] = [];
  const rows = [...found].map(([work, values]) => {
    const of = (kind: Kind): number => median(values.get(kind) ?? []);
    // Of the same round, so that what else the machine does falls out.
    const ratio = (kind: 'nbdkit' | 'qemu-nbd'): number =>
      median((values.get('farcopy') ?? []).map((ours, round) => ours / (values.get(kind)?.[round] ?? NaN)));
    const judged = (kind: 'nbdkit' | 'qemu-nbd'): string => {
      const goal = work.goals?.[kind];
      if (goal !== undefined && ratio(kind) < goal)
        missed.push(`${work.name}: ${ratio(kind).toFixed(2)} of ${kind}, ${goal.toFixed(2)} wanted`);
      return `${ratio(kind).toFixed(2)}${goal === undefined ? '' : ` (${goal.toFixed(2)})`}`;
    };
    const amount = (kind: Kind): string => `${Math.round(of(kind))} ${work.unit}`;
    return [work.name, ...KINDS.map(amount), judged('nbdkit'), judged('qemu-nbd')];
  });
  return {
    title: `NBD over a Unix socket, 1 GiB in memory, tracking on; medians of ${rounds}, ${seconds} s each`,
    columns: ['', ...KINDS, 'to nbdkit (goal)', 'to qemu-nbd (goal)'],
    rows,
    missed,
  };
}

/**
 * A machine that has given memory back to its host gets it anew at the first touch, at several times the price of the memory:
 * this pays it, so that not whoever comes first does.
 */
export function touchMemory(folder: string, sizeBytes: number): void {
  const file = join(folder, 'touched');
  fill(file, sizeBytes);
  rmSync(file);
}

/** A file of this size that holds no zeros to speak of. */
export function fill(path: string, sizeBytes: number): void {
  const part = new Seeded(1).bytes(16 << 20);
  writeFileSync(path, '');
  for (let at = 0; at < sizeBytes; at += part.byteLength) writeFileSync(path, part, { flag: 'a' });
}
