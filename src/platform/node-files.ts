import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import { attempt, fileError } from './file-failure.js';
import { FileError, type Files, type OpenMode } from './files.js';
import { NodeFile } from './node-file.js';
import { syncs } from './syncs.js';
import { lockExclusive } from './syscalls.js';

/** The real file system, and block devices on it. */
export const nodeFiles: Files = {
  open,
  readWhole,
  replace,
  rename,
  makeFolder,
  list,
  exists,
  remove,
  syncFolder,
  freeBytes: (path) =>
    attempt(path, async () => {
      const { bavail, bsize } = await fs.promises.statfs(path);
      return bavail * bsize;
    }),
  lockFolder,
};

const FLAGS: Readonly<Record<OpenMode, number>> = {
  read: fs.constants.O_RDONLY,
  'read-write': fs.constants.O_RDWR,
  exclusive: fs.constants.O_RDWR | fs.constants.O_EXCL,
  create: fs.constants.O_RDWR | fs.constants.O_CREAT,
  'create-new': fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_EXCL,
};

function open(path: string, mode: OpenMode): Promise<NodeFile> {
  return attempt(path, async () => {
    const fd = await new Promise<number>((resolve, reject) =>
      fs.open(path, FLAGS[mode], 0o600, (error, opened) => {
        if (error === null) resolve(opened);
        else reject(error);
      }),
    );
    const stat = fs.fstatSync(fd);
    if (!stat.isFile() && !stat.isBlockDevice()) {
      fs.closeSync(fd);
      throw new FileError('unsupported', path, `${path}: neither a file nor a block device`);
    }
    return new NodeFile(path, fd, stat);
  });
}

async function readWhole(path: string, limit: number): Promise<Uint8Array> {
  return attempt(path, async () => {
    const stat = await fs.promises.stat(path);
    if (stat.size > limit) throw new FileError('other', path, `${path}: longer than ${limit} bytes`);
    return fs.promises.readFile(path);
  });
}

async function replace(path: string, content: Uint8Array, permissions = 0o600): Promise<void> {
  const beside = `${path}.new`;
  await attempt(path, async () => {
    const handle = await fs.promises.open(beside, 'w', permissions);
    try {
      await handle.chmod(permissions);
      await handle.writeFile(content);
      await syncs.run(() => handle.sync());
    } finally {
      await handle.close();
    }
    await fs.promises.rename(beside, path);
  });
  await syncFolder(dirname(path));
}

async function rename(from: string, to: string): Promise<void> {
  await attempt(to, () => fs.promises.rename(from, to));
  await syncFolder(dirname(to));
}

async function makeFolder(path: string): Promise<void> {
  await attempt(path, async () => {
    const first = await fs.promises.mkdir(path, { recursive: true, mode: 0o700 });
    if (first === undefined) return;
    for (let folder = path; folder.length >= first.length; folder = dirname(folder)) {
      await syncFolder(dirname(folder));
    }
  });
}

async function list(path: string): Promise<string[]> {
  try {
    return (await fs.promises.readdir(path)).sort();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw fileError(path, cause);
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await fs.promises.access(path);
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw fileError(path, cause);
  }
}

async function remove(path: string): Promise<void> {
  await attempt(path, () => fs.promises.rm(path, { recursive: true, force: true }));
}

async function syncFolder(path: string): Promise<void> {
  await attempt(path, async () => {
    const handle = await fs.promises.open(path, 'r');
    try {
      await syncs.run(() => handle.sync());
    } finally {
      await handle.close();
    }
  });
}

async function lockFolder(path: string): Promise<() => Promise<void>> {
  const file = await open(join(path, 'lock'), 'create');
  if (lockExclusive(file.fd) === 'held-elsewhere') {
    await file.close();
    throw new FileError('busy', path, `${path}: in use by another farcopy process`);
  }
  return () => file.close();
}
