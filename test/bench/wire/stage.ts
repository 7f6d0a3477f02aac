import { spawnSync } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { must, RunningProgram } from '../../support/program.js';
import type { Sandbox } from '../../support/sandbox.js';
import { until } from '../../support/until.js';
import { copyImage } from './image-file.js';

/** How an image is mounted: by the kernel, for root, or by fuse2fs, for anybody who may use /dev/fuse. */
export type Mounting = 'loop' | 'fuse2fs';

export interface StageOptions {
  readonly sizeBytes: number;
  /** Of the file system. */
  readonly blockSize: number;
  readonly seed: number;
  readonly mounting: Mounting;
}

const SLOW = { timeoutMs: 600_000 };

/** A mounted ext4 image that programs work on, and from which snapshots are taken while it is mounted. */
export class Stage {
  private constructor(
    readonly sandbox: Sandbox,
    readonly image: string,
    /** Where it is mounted. */
    readonly folder: string,
    readonly mounting: Mounting,
    readonly unmount: () => Promise<void>,
  ) {}

  static async create(sandbox: Sandbox, name: string, options: StageOptions): Promise<Stage> {
    const image = sandbox.path(`${name}.img`);
    const folder = sandbox.path(`${name}-mount`);
    await mkdir(folder);
    await must('truncate', ['-s', String(options.sizeBytes), image]);
    const uuid = uuidOf(`${options.seed} ${name}`);
    // Nothing is left to be written later by the kernel: it would be in the set.
    const extended = `lazy_itable_init=0,lazy_journal_init=0,hash_seed=${uuid}`;
    await must('mkfs.ext4', [
      ...['-q', '-F', '-b', String(options.blockSize), '-U', uuid, '-E', extended, image],
    ]);
    const unmount = await (options.mounting === 'loop' ? mountLoop : mountFuse)(sandbox, image, folder);
    return new Stage(sandbox, image, folder, options.mounting, unmount);
  }

  /**
   * A copy of the image with all that was written so far: frozen for the time of the copy, or, of fuse2fs, which
   * cannot freeze, synced; nothing may be writing then.
   */
  async capture(to: string): Promise<void> {
    if (this.mounting === 'fuse2fs') {
      // First the kernel's cache, then that of fuse2fs.
      await must('sync', [], SLOW);
      await must('sync', [this.folder], SLOW);
      await copyImage(this.image, to);
      return;
    }
    await must('fsfreeze', ['--freeze', this.folder], SLOW);
    try {
      await copyImage(this.image, to);
    } finally {
      await must('fsfreeze', ['--unfreeze', this.folder]);
    }
  }

  /** Tells the image which blocks are free: they read as zeros then. Not by fuse2fs. */
  async trim(): Promise<void> {
    await must('sync', ['--file-system', this.folder], SLOW);
    await must('fstrim', [this.folder], SLOW);
  }
}

async function mountLoop(sandbox: Sandbox, image: string, folder: string): Promise<() => Promise<void>> {
  await must('mount', ['-o', 'loop,noatime', image, folder]);
  return sandbox.defer(
    `mount ${folder}`,
    async () => {
      await must('umount', [folder], SLOW);
    },
    () => void spawnSync('umount', ['-l', folder]),
  );
}

async function mountFuse(sandbox: Sandbox, image: string, folder: string): Promise<() => Promise<void>> {
  const fuse = RunningProgram.start(sandbox, 'fuse2fs', ['-f', '-o', 'fakeroot', image, folder]);
  const unmount = sandbox.defer(
    `fuse2fs ${folder}`,
    async () => {
      await must('fusermount3', ['-u', folder], SLOW);
      await fuse.finished;
    },
    () => void spawnSync('fusermount3', ['-u', '-z', folder]),
  );
  await until(
    `fuse2fs shows ${folder}`,
    () => fuse.running && spawnSync('mountpoint', ['-q', folder]).status === 0,
    { seen: () => fuse.stderr },
  );
  return unmount;
}

/** The same for the same text, so that a run can be had again. */
function uuidOf(text: string): string {
  const hex = createHash('sha256').update(text).digest('hex');
  const parts = [hex.slice(0, 8), hex.slice(8, 12), `4${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`];
  return [...parts, hex.slice(20, 32)].join('-');
}
