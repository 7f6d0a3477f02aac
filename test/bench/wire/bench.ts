import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Sandbox } from '../../support/sandbox.js';
import { Seeded } from '../../support/seeded.js';
import { measureContent, type ChangedContent } from './changed-content.js';
import { changedRuns, ImageFile, type ChangedRun } from './image-file.js';
import { measureOurs } from './measure-ours.js';
import type { Measurement } from './measurement.js';
import { RIVALS, type RivalCost } from './rivals.js';
import type { Variation, Workload } from './workload.js';

export interface BenchOptions extends Variation {
  /** Where images and what rivals cost are kept for the next run; null: nowhere. */
  readonly keep: string | null;
  readonly bytesPerSecond: number;
  /** Names of rivals to measure, and `content` for the changed blocks on their own. */
  readonly rivals: ReadonlySet<string>;
  readonly say: (text: string) => void;
}

/** What was measured of images that are kept; it does not change with our encoder. */
interface KeptCosts {
  content?: ChangedContent;
  rivals: Record<string, RivalCost>;
}

export const isInstalled = (program: string): boolean =>
  spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;

/** Why a workload cannot run here; null: it can. */
export function obstacle({ needs, needsRoot }: Workload, { mounting }: Variation): string | null {
  const missing = needs.filter((program) => !isInstalled(program));
  if (mounting === 'fuse2fs' && needs.includes('mkfs.ext4') && !isInstalled('fuse2fs'))
    missing.push('fuse2fs');
  if (missing.length > 0) return `missing: ${missing.join(', ')}`;
  return needsRoot === true && mounting === 'fuse2fs' ? 'needs root' : null;
}

/** Runs one workload, or takes its kept images; measures us, and beside us what could be taken instead. */
export async function measureWorkload(workload: Workload, options: BenchOptions): Promise<Measurement> {
  const folder = await imagesOf(workload, options);
  const before = await ImageFile.open(join(folder, 'before.img'));
  const after = await ImageFile.open(join(folder, 'after.img'));
  const scratch = join(folder, 'scratch');
  await rm(scratch, { recursive: true, force: true });
  await mkdir(scratch);
  try {
    const runs = await changedRuns(before, after, options.blockSize);
    options.say(`${workload.name}: ${blocksIn(runs)} blocks changed; farcopy …`);
    const ours = await measureOurs({ before, after }, runs, scratch, {
      ...options,
      overwritten: workload.overwritten === true,
    });
    const peak = Math.ceil(process.resourceUsage().maxRSS / 1024);
    options.say(
      `${workload.name}: ${ours.encodedBytes} bytes in ${ours.parcels} parcels, ${ours.seconds.toFixed(0)} s; first copy ${ours.firstCopyBytes}; most memory of this process so far, both ends: ${peak} MiB`,
    );
    const costs = await rivalCosts(workload, options, { before, after, runs, folder, scratch });
    return {
      workload: workload.name,
      title: workload.title,
      changedBlocks: blocksIn(runs),
      zeroBlocks: blocksIn(runs.filter(({ zero }) => zero)),
      ours,
      ...costs,
    };
  } finally {
    await before.close();
    await after.close();
    await rm(scratch, { recursive: true, force: true });
    if (options.keep === null) await rm(folder, { recursive: true, force: true });
  }
}

const blocksIn = (runs: readonly ChangedRun[]): number => runs.reduce((sum, { count }) => sum + count, 0);

/** The folder with a workload's images; made unless they are kept from an earlier run with the same variation. */
async function imagesOf(workload: Workload, options: BenchOptions): Promise<string> {
  const { keep, seed, blockSize, pageSize, size, mounting, say } = options;
  const name = `${workload.name}-${size}-${blockSize}-${pageSize}-${seed}-${mounting}`;
  const folder = keep === null ? await mkdtemp(join(tmpdir(), 'farcopy-wire-')) : join(keep, name);
  if (existsSync(join(folder, 'after.img'))) return folder;
  await mkdir(folder, { recursive: true });
  say(`${workload.name}: making the images …`);
  const sandbox = Sandbox.create();
  const [before, after] = [join(folder, 'before.img'), join(folder, 'after.img.new')];
  const word = createHash('sha256').update(`${workload.name} ${seed}`).digest().readUInt32LE();
  try {
    const seeded = new Seeded(word);
    await workload.make({ seed, blockSize, pageSize, size, mounting, sandbox, seeded, before, after });
    await rename(after, join(folder, 'after.img'));
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  } finally {
    await sandbox.close();
  }
  return folder;
}

async function rivalCosts(
  workload: Workload,
  { rivals, blockSize, say }: BenchOptions,
  {
    before,
    after,
    runs,
    folder,
    scratch,
  }: {
    readonly before: ImageFile;
    readonly after: ImageFile;
    readonly runs: readonly ChangedRun[];
    readonly folder: string;
    readonly scratch: string;
  },
): Promise<Pick<Measurement, 'content' | 'rivals'>> {
  const path = join(folder, 'rivals.json');
  const kept: KeptCosts = existsSync(path)
    ? (JSON.parse(readFileSync(path, 'utf8')) as KeptCosts)
    : { rivals: {} };
  const keep = (): Promise<void> => writeFile(path, JSON.stringify(kept, null, 2));
  if (kept.content === undefined && rivals.has('content')) {
    say(`${workload.name}: the changed blocks on their own …`);
    kept.content = workload.overwritten
      ? // Every block was written, so every block would be sent, as it was before.
        { raw: after.size, zstd: null, brotli: null }
      : await measureContent(runs, after, blockSize, scratch, isInstalled('zstd'));
    await keep();
  }
  for (const rival of RIVALS) {
    if (!rivals.has(rival.name) || kept.rivals[rival.name] !== undefined) continue;
    if (!rival.needs.every(isInstalled)) {
      say(`${rival.name} is not installed`);
      continue;
    }
    say(`${workload.name}: ${rival.name} …`);
    const own = join(scratch, 'rival');
    await mkdir(own);
    kept.rivals[rival.name] = await rival.measure({ before: before.path, after: after.path }, own);
    await rm(own, { recursive: true });
    await keep();
  }
  return { ...(kept.content !== undefined && { content: kept.content }), rivals: kept.rivals };
}
