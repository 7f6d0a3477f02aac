import * as fs from 'node:fs';
import type { Range } from '../../protocol/ranges.js';
import { attempt, attemptSync, fileError } from './file-failure.js';
import { FileError, type File, type FileAttributes } from './files.js';
import { syncs } from './syncs.js';
import { punchHole, readCached, seekData, seekHole } from './syscalls.js';

/** File systems whose files are in memory, by the kernel's numbers: tmpfs, ramfs. */
const IN_MEMORY: readonly number[] = [0x01021994, 0x858458f6];

/**
 * Those that tell where a file's holes are also while what was written is only in the kernel's memory: ext4, XFS, tmpfs.
 * Others have told holes where there was dirty data (OpenZFS before 2.2.2).
 */
const TRUE_HOLES: readonly number[] = [0xef53, 0x58465342, 0x01021994];

function isOn(types: readonly number[], fd: number): boolean {
  try {
    return types.includes(fs.statfsSync(`/proc/self/fd/${fd}`).type);
  } catch {
    return false;
  }
}

/** Positions that are not safe integers silently mean "the current position" to Node: refuse them here. */
function checkPosition(path: string, position: number): void {
  if (!Number.isSafeInteger(position) || position < 0) {
    throw new FileError('other', path, `${path}: position ${position} is not a byte offset`);
  }
}

/** A file or block device that Node has opened. */
export class NodeFile implements File {
  readonly isBlockDevice: boolean;
  readonly #deviceNumber: number;
  #fd: number | null;
  /** How it is known what can be read without waiting: asked of the kernel, everything can, or not at all. */
  #cached: 'asked' | 'all' | 'unknown' = 'asked';
  /** Asked for when first wanted. */
  #hasTrueHoles: boolean | null = null;

  constructor(
    readonly path: string,
    fd: number,
    stat: fs.Stats,
  ) {
    this.#fd = fd;
    this.isBlockDevice = stat.isBlockDevice();
    this.#deviceNumber = stat.rdev;
  }

  /** The number of a closed file is soon that of another one, which must not be written in its place. */
  get fd(): number {
    if (this.#fd === null) throw new FileError('other', this.path, `${this.path}: is closed`);
    return this.#fd;
  }

  size(): Promise<number> {
    return attempt(this.path, async () => {
      if (!this.isBlockDevice) return fs.fstatSync(this.fd).size;
      // fstat says 0 for a block device, sysfs knows.
      return Number(await this.#sysfs('size')) * 512;
    });
  }

  /** What sysfs says of a block device. */
  async #sysfs(attribute: string): Promise<string> {
    // glibc's makedev()
    const major = (this.#deviceNumber >>> 8) & 0xfff;
    const minor = (this.#deviceNumber & 0xff) | ((this.#deviceNumber >>> 12) & 0xfff00);
    const text = await fs.promises.readFile(`/sys/dev/block/${major}:${minor}/${attribute}`, 'utf8');
    return text.trim();
  }

  /** What a disk, a device-mapper target or the file behind a loop device says it is. */
  async #diskIdentity(): Promise<string | null> {
    for (const attribute of [
      'dm/uuid',
      'md/uuid',
      'loop/backing_file',
      'wwid',
      'device/wwid',
      'device/serial',
    ]) {
      const text = await this.#sysfs(attribute).catch(() => '');
      if (text !== '') return `${attribute} ${text}`;
    }
    return null;
  }

  async read(into: Uint8Array, position: number): Promise<void> {
    checkPosition(this.path, position);
    for (let done = 0; done < into.length;) {
      done += await this.#readSome(into, done, position + done);
    }
  }

  #readSome(into: Uint8Array, offset: number, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.read(this.fd, into, offset, into.length - offset, position, (error, count) => {
        if (error !== null) reject(fileError(this.path, error));
        else if (count === 0) reject(this.#shortRead(position));
        else resolve(count);
      });
    });
  }

  readSync(into: Uint8Array, position: number): void {
    checkPosition(this.path, position);
    for (let done = 0; done < into.length;) {
      const at = done;
      const count = attemptSync(this.path, () =>
        fs.readSync(this.fd, into, at, into.length - at, position + at),
      );
      if (count === 0) throw this.#shortRead(position + done);
      done += count;
    }
  }

  readCachedSync(into: Uint8Array, position: number): number | null {
    if (this.#cached === 'asked') {
      checkPosition(this.path, position);
      const count = readCached(this.fd, into, position);
      if (count !== undefined) return count;
      // A file system in memory does not support the question.
      this.#cached = isOn(IN_MEMORY, this.fd) ? 'all' : 'unknown';
    }
    if (this.#cached === 'unknown') return null;
    checkPosition(this.path, position);
    return attemptSync(this.path, () => fs.readSync(this.fd, into, 0, into.length, position));
  }

  #shortRead(position: number): FileError {
    return new FileError('short-read', this.path, `${this.path}: ends before byte ${position}`);
  }

  async write(from: Uint8Array, position: number): Promise<void> {
    checkPosition(this.path, position);
    for (let done = 0; done < from.length;) {
      done += await this.#writeSome(from, done, position + done);
    }
  }

  #writeSome(from: Uint8Array, offset: number, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.write(this.fd, from, offset, from.length - offset, position, (error, count) => {
        if (error !== null) reject(fileError(this.path, error));
        else resolve(count);
      });
    });
  }

  writeSync(from: Uint8Array, position: number): void {
    checkPosition(this.path, position);
    for (let done = 0; done < from.length;) {
      const at = done;
      done += attemptSync(this.path, () => fs.writeSync(this.fd, from, at, from.length - at, position + at));
    }
  }

  truncate(size: number): Promise<void> {
    checkPosition(this.path, size);
    return new Promise((resolve, reject) => {
      fs.ftruncate(this.fd, size, (error) => {
        if (error !== null) reject(fileError(this.path, error));
        else resolve();
      });
    });
  }

  sync(): Promise<void> {
    return this.#sync(fs.fsync);
  }

  syncContent(isUrgent = false): Promise<void> {
    return this.#sync(fs.fdatasync, isUrgent);
  }

  #sync(how: typeof fs.fsync, isUrgent = false): Promise<void> {
    return syncs.run(
      () =>
        new Promise((resolve, reject) => {
          how(this.fd, (error) => {
            if (error !== null) reject(fileError(this.path, error));
            else resolve();
          });
        }),
      isUrgent,
    );
  }

  async nextData(from: number): Promise<Range | null> {
    checkPosition(this.path, from);
    const size = await this.size();
    if (from >= size) return null;
    const start = this.isBlockDevice ? undefined : seekData(this.fd, from);
    if (start === null) return null;
    if (start === undefined) return { start: from, end: size };
    return { start, end: seekHole(this.fd, start) ?? size };
  }

  nextDataSync(from: number): number | null {
    checkPosition(this.path, from);
    this.#hasTrueHoles ??= !this.isBlockDevice && isOn(TRUE_HOLES, this.fd);
    if (!this.#hasTrueHoles) return null;
    const start = seekData(this.fd, from);
    return start === undefined ? null : (start ?? Infinity);
  }

  punchSync(position: number, length: number): boolean {
    checkPosition(this.path, position);
    return !this.isBlockDevice && punchHole(this.fd, position, length);
  }

  attributes(): Promise<FileAttributes> {
    return attempt(this.path, async () => {
      // The kernel lets a read-only device be opened for writing, and fails the writes.
      if (this.isBlockDevice) {
        return {
          modifiedMs: null,
          isWriteProtected: (await this.#sysfs('ro')) === '1',
          identity: await this.#diskIdentity(),
          writtenBytes: await this.#sysfs('stat').then(writtenBytesOf, () => null),
        };
      }
      const stat = fs.fstatSync(this.fd, { bigint: true });
      return {
        modifiedMs: Number(stat.mtimeNs) / 1e6,
        isWriteProtected: (stat.mode & 0o222n) === 0n,
        // Numbers of inodes are used again, with another birth; 0 where the file system does not know of births.
        identity: `inode ${stat.ino} of ${stat.birthtimeNs}`,
        writtenBytes: null,
      };
    });
  }

  close(): Promise<void> {
    return new Promise((resolve, reject) => {
      const { fd } = this;
      this.#fd = null;
      fs.close(fd, (error) => {
        if (error) reject(fileError(this.path, error));
        else resolve();
      });
    });
  }
}

/** Of the line that sysfs has on a disk: the seventh number counts sectors of 512 bytes written. */
function writtenBytesOf(stat: string): number | null {
  const sectors = Number(stat.split(/\s+/)[6]);
  return Number.isSafeInteger(sectors) ? sectors * 512 : null;
}
