import { writeFile } from 'node:fs/promises';
import { checkExt4, LoopedExport, makeExt4, Mount } from './ext4.js';
import { must } from './program.js';
import type { Sandbox } from './sandbox.js';
import type { Seeded } from './seeded.js';
import { ServedDisk } from './served-disk.js';

/**
 * Dirty pages of one such disk before the kernel writes them out by itself, as it would under a load of memory. In every
 * other life they stay where they are until they are synced.
 */
const MOST_DIRTY_BYTES = 1 << 20;
/** A disk on which little happens is cut all the same. */
const PATIENCE_MS = 1000;

/** For `requires`; `unshare` for another boot. */
export const CUT_FILESYSTEM_NEEDS = {
  programs: ['nbdfuse', 'fusermount3', 'losetup', 'mkfs.ext4', 'e2fsck', 'unshare'],
  devices: ['/dev/fuse', '/dev/loop-control'],
  root: true,
} as const;

export interface CutFilesystemOptions {
  readonly sizeBytes: number;
  readonly random: Seeded;
}

/**
 * An ext4 on a disk whose power can be cut: CutDisk, farcopy's NBD server, nbdfuse, a loop device, the kernel's ext4 with
 * its page cache and its journal. A life is the time from one mount to the next cut.
 */
export class CutFilesystem {
  #disk: ServedDisk | undefined;
  #left: Uint8Array<ArrayBuffer>;
  /** How what this life has set up is taken down, in the order of its setting up. */
  readonly #takeDown: (() => Promise<void>)[] = [];
  #lives = 0;

  private constructor(
    readonly sandbox: Sandbox,
    readonly name: string,
    readonly random: Seeded,
    sizeBytes: number,
  ) {
    this.#left = new Uint8Array(sizeBytes);
  }

  /** Makes the filesystem, empty, and mounts it as the sandbox's folder `name`. */
  static async make(sandbox: Sandbox, name: string, options: CutFilesystemOptions): Promise<CutFilesystem> {
    const made = new CutFilesystem(sandbox, name, options.random, options.sizeBytes);
    const looped = await made.#attach();
    await makeExt4(looped.device, ['-b', '4096']);
    await made.#mount(looped);
    return made;
  }

  /** The disk of this life. */
  get disk(): ServedDisk {
    if (this.#disk === undefined) throw new Error('the power was cut');
    return this.#disk;
  }

  get folder(): string {
    return this.sandbox.path(this.name);
  }

  /** Writes out and makes durable all that is cached. */
  async sync(): Promise<void> {
    await must('sync', ['--file-system', this.folder]);
  }

  /**
   * Cuts the power after fewer than so many operations of the disk, as often after a handful as after a hundred. The
   * process groups of `pids`, all who work on the disk, are killed in the same tick, so they learn nothing of it.
   */
  async cutWithin(operations: number, pids: readonly number[]): Promise<void> {
    const many = Math.floor(operations ** this.random.fraction()) - 1;
    this.#left = await this.disk.cut(many, PATIENCE_MS, pids);
    this.#disk = undefined;
  }

  /** Cuts the power of a disk that nobody works on. */
  async cut(): Promise<void> {
    this.#left = await this.disk.cut(Infinity, 0, []);
    this.#disk = undefined;
  }

  /**
   * Power again: everything that knew the old disk is taken down, and what the cut has left is mounted, which replays
   * the journal, and found clean by e2fsck. Nobody may have a file of it open. Rejects where ext4 was not left whole.
   */
  async restore(): Promise<void> {
    for (const step of this.#takeDown.splice(0).reverse()) await step();
    const looped = await this.#attach();
    const replay = await Mount.mount(this.sandbox, this.name, looped.device);
    await replay.unmount();
    const { clean, report } = await checkExt4(looped.device);
    if (!clean) throw new Error(`ext4 was not left whole:\n${report}`);
    await this.#mount(looped);
  }

  async #attach(): Promise<LoopedExport> {
    const { sandbox, name } = this;
    const life = `${name}-${++this.#lives}`;
    const path = sandbox.path(`${life}.sock`);
    const disk = await ServedDisk.serve({ path, seed: this.random.word(), content: this.#left });
    this.#disk = disk;
    this.#takeDown.push(sandbox.defer(`disk ${life}`, () => disk.close()));
    const looped = await LoopedExport.attach(sandbox, life, path, '');
    this.#takeDown.push(looped.detach);
    this.#deferPower(looped);
    return looped;
  }

  /** Taken down before all else: when this process ends early, nobody may wait for a disk that it answers for no more. */
  #deferPower(looped: LoopedExport): void {
    const undo = this.sandbox.defer(
      `power of ${looped.device}`,
      () => undefined,
      () => looped.abandon(),
    );
    this.#takeDown.push(undo);
  }

  async #mount(looped: LoopedExport): Promise<void> {
    if (this.random.chance(0.5)) await this.#limitDirtyPages(looped.device);
    const { unmount } = await Mount.mount(this.sandbox, this.name, looped.device, ['commit=1']);
    this.#takeDown.push(unmount);
    this.#deferPower(looped);
    await this.sync();
  }

  /** Kernels before 6.2 have no such limits. They belong to the loop device, which others use afterwards. */
  async #limitDirtyPages(device: string): Promise<void> {
    const set = async (isStrict: string, name: string, value: string): Promise<void> => {
      const limits = `/sys/block/${device.replace('/dev/', '')}/bdi`;
      await writeFile(`${limits}/strict_limit`, isStrict).catch(() => undefined);
      await writeFile(`${limits}/${name}`, value).catch(() => undefined);
    };
    await set('1', 'max_bytes', String(MOST_DIRTY_BYTES));
    this.#takeDown.push(this.sandbox.defer(`limits of ${device}`, () => set('0', 'max_ratio', '100')));
  }
}
