import type { Range } from '../../protocol/ranges.js';

/** What a file operation can fail with that callers branch on; the Node error is the `cause`. */
export type FileErrorCode =
  | 'not-found'
  | 'exists'
  | 'no-permission'
  | 'read-only'
  | 'no-space'
  | 'io'
  | 'short-read'
  | 'busy'
  | 'unsupported'
  | 'other';

/** A failed operation on a named file. */
export class FileError extends Error {
  override readonly name = 'FileError';
  constructor(
    readonly code: FileErrorCode,
    readonly path: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/**
 * `create`: read and write, made if absent. `create-new`: fails with `exists` if present. `exclusive`: read and
 * write; fails with `busy` if it is a block device that is mounted or so opened by another.
 */
export type OpenMode = 'read' | 'read-write' | 'exclusive' | 'create' | 'create-new';

/**
 * One open file or block device. Every read and write names its position, fills or takes the whole buffer, and
 * fails otherwise (`short-read` past the end). The buffer belongs to the callee until the call is over.
 * The `…Sync` forms block the thread: they are for small, cached I/O in a volume's worker (DESIGN section 3).
 */
export interface File {
  readonly path: string;
  readonly isBlockDevice: boolean;
  /** Size in bytes now; of a block device too. */
  size(): Promise<number>;
  read(into: Uint8Array, position: number): Promise<void>;
  readSync(into: Uint8Array, position: number): void;
  /**
   * Reads what can be had without waiting for a device, from `position` on: 0 to all bytes of `into`, which is told. A
   * fault is not; `read` has it. Null, or absent: cannot be told of this file.
   */
  readCachedSync?(into: Uint8Array, position: number): number | null;
  write(from: Uint8Array, position: number): Promise<void>;
  writeSync(from: Uint8Array, position: number): void;
  /** Not for block devices. Growing leaves a hole. */
  truncate(size: number): Promise<void>;
  /** Resolves when everything written before the call is on stable storage. */
  sync(): Promise<void>;
  /**
   * As `sync`, without what is not needed to read it again, such as times; absent where that is the same. `isUrgent`: a
   * client's write waits for it, so it goes before others where there are only so many at once.
   */
  syncContent?(isUrgent?: boolean): Promise<void>;
  /**
   * The first range at or after `from` that may hold something other than zeros, or null if none is left;
   * where the filesystem or device cannot tell, all of the rest.
   */
  nextData(from: number): Promise<Range | null>;
  /**
   * The first byte at or after `from` that may be other than zero, Infinity if there is none, at once. Null, or absent: the
   * file system is not known to tell its holes truly also of what is not on the disk yet.
   */
  nextDataSync?(from: number): number | null;
  /** Makes a range read as zeros by giving its space back; false where that cannot be done (nothing changed). */
  punchSync(position: number, length: number): boolean;
  /** What the file system says about it now; absent where there is none to ask. */
  attributes?(): Promise<FileAttributes>;
  close(): Promise<void>;
}

export interface FileAttributes {
  /** Last modification in ms since 1970, with fractions; null for a block device, which has none of its own. */
  readonly modifiedMs: number | null;
  /** A file without any write permission, which root could write all the same; a read-only block device. */
  readonly isWriteProtected: boolean;
  /**
   * Tells this file or disk from another of the same name: inode and birth of a file, the serial number or
   * world-wide name of a disk; null where there is nothing of the kind. A copy has another.
   */
  readonly identity?: string | null;
  /** Bytes written to a block device since the kernel's boot; null for a file. */
  readonly writtenBytes?: number | null;
}

/** The file system as a parameter; `node-files.ts` is the real one. */
export interface Files {
  open(path: string, mode: OpenMode): Promise<File>;
  /** Whole content of a small file; `not-found` if absent, `other` if longer than `limit` bytes. */
  readWhole(path: string, limit: number): Promise<Uint8Array>;
  /** Atomic and durable: writes beside it, syncs, renames over it, syncs the folder. */
  replace(path: string, content: Uint8Array, permissions?: number): Promise<void>;
  /** Atomic and durable: `to` is the file that `from` was, then the folder of `to` is synced. Same file system. */
  rename(from: string, to: string): Promise<void>;
  /** Makes a folder and its parents; durable. */
  makeFolder(path: string): Promise<void>;
  /** Names in a folder, sorted; empty if the folder is absent. */
  list(path: string): Promise<string[]>;
  exists(path: string): Promise<boolean>;
  /** Removes a file or a folder with all in it; absent is fine. Durable only after `syncFolder` of the parent. */
  remove(path: string): Promise<void>;
  syncFolder(path: string): Promise<void>;
  /** Bytes that may still be written on the file system of a path; absent where that cannot be told. */
  freeBytes?(path: string): Promise<number>;
  /**
   * Takes the exclusive lock of a folder (a file `lock` in it) and keeps it until released or the process ends;
   * `busy` if another process has it.
   */
  lockFolder(path: string): Promise<() => Promise<void>>;
}
