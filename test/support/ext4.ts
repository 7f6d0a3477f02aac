import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, mkdir, readdir, readlink } from 'node:fs/promises';
import { spawnSync } from 'node:child_process';
import { join, relative } from 'node:path';
import { must, run, RunningProgram } from './program.js';
import type { Sandbox } from './sandbox.js';
import { until } from './until.js';

/** An NBD export shown as a file (nbdfuse), made a block device (losetup). */
export class LoopedExport {
  private constructor(
    /** The block device, such as `/dev/loop0`. */
    readonly device: string,
    /** Takes down the loop device and the file, in this order. */
    readonly detach: () => Promise<void>,
    /** Kills nbdfuse: all I/O on the device fails from now on, also what waits for an answer. */
    readonly abandon: () => void,
  ) {}

  static async attach(
    sandbox: Sandbox,
    name: string,
    socket: string,
    exportName: string,
  ): Promise<LoopedExport> {
    const folder = sandbox.path(`${name}-fuse`);
    const file = join(folder, 'volume');
    await mkdir(folder);
    const uri = `nbd+unix:///${exportName}?socket=${socket}`;
    const fuse = RunningProgram.start(sandbox, 'nbdfuse', [file, uri]);
    const unmountFile = sandbox.defer(
      `nbdfuse ${folder}`,
      async () => {
        // A program that began in a mount namespace of its own has all mounts of that moment until it lets them go.
        await until(
          `${folder} is not busy`,
          async () => (await run('fusermount3', ['-u', folder])).code === 0,
          { timeoutMs: 5000 },
        );
        await fuse.finished;
      },
      () => void spawnSync('fusermount3', ['-u', '-z', folder]),
    );
    await until(
      `nbdfuse shows ${file}`,
      () =>
        lstat(file).then(
          () => true,
          () => false,
        ),
      { seen: () => fuse.stderr },
    );
    const device = (await must('losetup', ['--find', '--show', file])).trim();
    const detachLoop = sandbox.defer(
      `loop device ${device}`,
      async () => {
        await must('losetup', ['--detach', device]);
      },
      () => void spawnSync('losetup', ['--detach', device]),
    );
    return new LoopedExport(
      device,
      async () => {
        await detachLoop();
        await unmountFile();
      },
      () => fuse.signal('SIGKILL'),
    );
  }
}

/** A mounted filesystem; unmounted with the sandbox at the latest. */
export class Mount {
  private constructor(
    readonly folder: string,
    readonly unmount: () => Promise<void>,
  ) {}

  /** `source` is a block device, or an image file (then a loop device is set up and taken down by mount). */
  static async mount(
    sandbox: Sandbox,
    name: string,
    source: string,
    options: readonly string[] = [],
  ): Promise<Mount> {
    const folder = sandbox.path(name);
    await mkdir(folder, { recursive: true });
    await must('mount', [...(options.length > 0 ? ['-o', options.join(',')] : []), source, folder]);
    const unmount = sandbox.defer(
      `mount ${folder}`,
      async () => {
        await must('umount', [folder]);
      },
      () => void spawnSync('umount', ['-l', folder]),
    );
    return new Mount(folder, unmount);
  }

  /** Writes out all that is cached and holds every writer back until `thaw`. */
  async freeze(): Promise<void> {
    await must('fsfreeze', ['--freeze', this.folder]);
  }

  async thaw(): Promise<void> {
    await must('fsfreeze', ['--unfreeze', this.folder]);
  }

  /** Writes out all that is cached. */
  async sync(): Promise<void> {
    await must('sync', ['--file-system', this.folder]);
  }
}

export async function makeExt4(device: string, options: readonly string[] = []): Promise<void> {
  await must('mkfs.ext4', ['-q', '-F', ...options, device]);
}

/** `e2fsck -fn` on an image file or device: a full check that changes nothing. */
export async function checkExt4(path: string): Promise<{ readonly clean: boolean; readonly report: string }> {
  const { code, stdout, stderr } = await run('e2fsck', ['-fn', path]);
  return { clean: code === 0, report: stdout + stderr };
}

/** Path below `root` → what is there: kind, mode, and SHA-256 of a file's content, or the link's target. */
export async function manifest(root: string): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  const walk = async (folder: string): Promise<void> => {
    const names = (await readdir(folder)).sort();
    for (const name of names) {
      const path = join(folder, name);
      const stat = await lstat(path);
      const mode = (stat.mode & 0o7777).toString(8);
      const key = relative(root, path);
      if (stat.isDirectory()) {
        found.set(key, `folder ${mode}`);
        await walk(path);
      } else if (stat.isSymbolicLink()) {
        found.set(key, `link ${await readlink(path)}`);
      } else if (!stat.isFile()) {
        found.set(key, `other ${(stat.mode & 0o170000).toString(8)} ${mode}`);
      } else {
        found.set(key, `file ${mode} ${stat.size} ${await sha256(path)}`);
      }
    }
  };
  await walk(root);
  return found;
}

/** How two manifests differ, one line a path; empty when they do not. */
export function differences(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): readonly string[] {
  const paths = [...new Set([...before.keys(), ...after.keys()])].sort();
  return paths
    .filter((path) => before.get(path) !== after.get(path))
    .map((path) => `${path}: ${before.get(path) ?? 'absent'} -> ${after.get(path) ?? 'absent'}`);
}

/** SHA-256 of a file's content, in hex. */
export async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
