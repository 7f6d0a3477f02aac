import { writeFile } from 'node:fs/promises';
import { NbdServer } from '../../src/nbd/server.js';
import { systemClock } from '../../src/platform/clock.js';
import { CutDisk } from './cut-disk.js';
import { checkExt4, LoopedExport, makeExt4, Mount } from './ext4.js';
import { must } from './program.js';
import type { Sandbox } from './sandbox.js';
import type { Seeded } from './seeded.js';

/** Dirty pages of one such disk before the kernel writes them out by itself, as it would under a load of memory. */
const MOST_DIRTY_BYTES = 1 << 20;

export interface CutFilesystemOptions {
  readonly sizeBytes: number;
  readonly random: Seeded;
}

/**
 * An ext4 on a disk whose power can be cut: CutDisk, farcopy's NBD server in this process, nbdfuse, a loop device, the
 * kernel's ext4 with its page cache and its journal. Nothing in this process may touch its files by synchronous calls:
 * it is this process that answers for the disk.
 */
export class CutFilesystem {
  #disk: CutDisk;
  #left: Buffer | undefined;
  readonly #takeDown: (() => Promise<void>)[] = [];
  #lives = 0;

  private constructor(
    readonly sandbox: Sandbox,
    readonly name: string,
    readonly random: Seeded,
    content: Uint8Array,
  ) {
    this.#disk = new CutDisk({ random, content });
  }

  /** Makes the filesystem, empty, and mounts it as the sandbox's folder `name`. */
  static async make(sandbox: Sandbox, name: string, options: CutFilesystemOptions): Promise<CutFilesystem> {
    const made = new CutFilesystem(sandbox, name, options.random, Buffer.alloc(options.sizeBytes));
    const looped = await made.#attach();
    await makeExt4(looped.device, ['-b', '4096']);
    await made.#mount(looped);
    return made;
  }

  /** The disk of this life. */
  get disk(): CutDisk {
    return this.#disk;
  }

  get folder(): string {
    return this.sandbox.path(this.name);
  }

  /** Writes out and makes durable all that is cached. */
  async sync(): Promise<void> {
    await must('sync', ['--file-system', this.folder]);
  }

  /** Cuts the power, within this tick. Who works on the disk is to be killed in the same tick. */
  cut(): void {
    this.#left = this.#disk.cut();
  }

  /**
   * Power again: everything that knew the old disk is taken down, and what the cut has left is mounted, which replays
   * the journal, and found clean by e2fsck. Nobody may have a file of it open. Rejects where ext4 was not left whole.
   */
  async restore(): Promise<void> {
    const content = this.#left;
    if (content === undefined) throw new Error('the power was not cut');
    for (const step of this.#takeDown.splice(0).reverse()) await step();
    this.#left = undefined;
    this.#disk = new CutDisk({ random: this.random, content });
    const looped = await this.#attach();
    const replay = await Mount.mount(this.sandbox, this.name, looped.device);
    await replay.unmount();
    const { clean, report } = await checkExt4(looped.device);
    if (!clean) throw new Error(`ext4 was not left whole:\n${report}`);
    await this.#mount(looped);
  }

  async #attach(): Promise<LoopedExport> {
    const { sandbox, name } = this;
    const disk = this.#disk;
    const life = `${name}-${++this.#lives}`;
    const path = sandbox.path(`${life}.sock`);
    const server = await NbdServer.listen({
      address: { kind: 'unix', path },
      exports: () => [disk],
      clock: systemClock,
    });
    const close = sandbox.defer(`disk ${life}`, () => server.close());
    const looped = await LoopedExport.attach(sandbox, life, path, '');
    this.#takeDown.push(close, looped.detach);
    this.#deferPower(looped);
    return looped;
  }

  /** What is taken down before all else: when this process ends early, nobody answers for the disk any more. */
  #deferPower(looped: LoopedExport): void {
    const undo = this.sandbox.defer(
      `power of ${looped.device}`,
      () => undefined,
      () => looped.abandon(),
    );
    this.#takeDown.push(undo);
  }

  async #mount(looped: LoopedExport): Promise<void> {
    const limits = `/sys/block/${looped.device.replace('/dev/', '')}/bdi`;
    // Kernels before 6.2 have none: then pages wait for a sync, or for half a minute.
    await writeFile(`${limits}/strict_limit`, '1').catch(() => undefined);
    await writeFile(`${limits}/max_bytes`, String(MOST_DIRTY_BYTES)).catch(() => undefined);
    const { unmount } = await Mount.mount(this.sandbox, this.name, looped.device, ['commit=1']);
    this.#takeDown.push(unmount);
    this.#deferPower(looped);
    await this.sync();
  }
}
