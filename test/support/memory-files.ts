import { basename, dirname, join } from 'node:path';
import type { Range } from '../../protocol/ranges.js';
import {
  FileError,
  type File,
  type FileErrorCode,
  type Files,
  type OpenMode,
} from '../../src/platform/files.js';

/** Something done to a file since its last sync. */
export type FileChange =
  | { readonly kind: 'write'; readonly position: number; readonly bytes: Uint8Array }
  | { readonly kind: 'truncate'; readonly size: number };

/** Something done to a folder since its last sync; a rename is one change of one folder. */
export type FolderChange = readonly { readonly name: string; readonly node: Node | null }[];

export class FileNode {
  content = new Uint8Array();
  /** What is surely on the disk, and what was done since. */
  synced = new Uint8Array();
  changes: FileChange[] = [];

  apply(change: FileChange): void {
    this.content = changed(this.content, change);
    this.changes.push(change);
  }
}

export class FolderNode {
  readonly entries = new Map<string, Node>();
  synced = new Map<string, Node>();
  changes: FolderChange[] = [];

  apply(change: FolderChange): void {
    applyFolderChange(this.entries, change);
    this.changes.push(change);
  }
}

export type Node = FileNode | FolderNode;

export function changed(content: Uint8Array, change: FileChange): Uint8Array<ArrayBuffer> {
  const size =
    change.kind === 'truncate'
      ? change.size
      : Math.max(content.byteLength, change.position + change.bytes.byteLength);
  const result = new Uint8Array(size);
  result.set(content.subarray(0, size));
  if (change.kind === 'write') result.set(change.bytes, change.position);
  return result;
}

export function applyFolderChange(entries: Map<string, Node>, change: FolderChange): void {
  for (const { name, node } of change) {
    if (node === null) entries.delete(name);
    else entries.set(name, node);
  }
}

/** A step that changes the disk or makes it durable; crashes and faults happen at one of these. */
export interface Operation {
  readonly kind: 'create' | 'write' | 'truncate' | 'punch' | 'sync' | 'link' | 'remove' | 'sync-folder';
  readonly path: string;
}

/** Called before each step; throws to make it fail. For a write it may say how many bytes still get through. */
export type OperationGuard = (
  operation: Operation,
) => { readonly writeOnly: number; readonly error: Error } | null;

/** Called before everything that only reads. */
export type ReadGuard = (path: string) => void;

const CHUNK = 4096;
/** A hole begins and ends at multiples of this: less than a block of the tests, so that volumes of a few of them have holes. */
const HOLE = 256;

/**
 * `Files` in memory, whole, with what a power cut may take: every file and folder remembers what was done to it since
 * its last sync. Paths are absolute; `/` is there.
 */
export class MemoryFiles implements Files {
  readonly #locks = new Set<string>();

  constructor(
    readonly root: FolderNode = new FolderNode(),
    readonly guard: OperationGuard = () => null,
    readonly readGuard: ReadGuard = () => undefined,
  ) {}

  async open(path: string, mode: OpenMode): Promise<File> {
    await this.#reading(path);
    let node = this.#find(path);
    if (node instanceof FolderNode) throw new FileError('unsupported', path, `${path}: a folder`);
    if (mode === 'create-new' && node !== undefined) throw new FileError('exists', path, `${path}: exists`);
    if (node === undefined) {
      if (mode !== 'create' && mode !== 'create-new') throw notFound(path);
      node = new FileNode();
      this.step('create', path);
      this.#folder(dirname(path)).apply([{ name: basename(path), node }]);
    }
    return new MemoryFile(path, node, this, mode !== 'read');
  }

  async readWhole(path: string, limit: number): Promise<Uint8Array> {
    await this.#reading(path);
    const node = this.#find(path);
    if (!(node instanceof FileNode)) throw notFound(path);
    if (node.content.byteLength > limit)
      throw new FileError('other', path, `${path}: longer than ${limit} bytes`);
    return node.content.slice();
  }

  async replace(path: string, content: Uint8Array): Promise<void> {
    const beside = `${path}.new`;
    const file = await this.open(beside, 'create');
    await file.truncate(0);
    await file.write(content, 0);
    await file.sync();
    await file.close();
    await this.rename(beside, path);
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#reading(from);
    const node = this.#find(from);
    if (node === undefined) throw notFound(from);
    this.step('link', to);
    const renamed = { name: basename(to), node };
    const gone = { name: basename(from), node: null };
    if (dirname(from) === dirname(to)) {
      this.#folder(dirname(to)).apply([gone, renamed]);
    } else {
      this.#folder(dirname(to)).apply([renamed]);
      this.#folder(dirname(from)).apply([gone]);
    }
    await this.syncFolder(dirname(to));
  }

  async makeFolder(path: string): Promise<void> {
    await this.#reading(path);
    const node = this.#find(path);
    if (node instanceof FolderNode) return;
    if (node !== undefined) throw new FileError('exists', path, `${path}: a file`);
    await this.makeFolder(dirname(path));
    this.step('create', path);
    this.#folder(dirname(path)).apply([{ name: basename(path), node: new FolderNode() }]);
    await this.syncFolder(dirname(path));
  }

  async list(path: string): Promise<string[]> {
    await this.#reading(path);
    const node = this.#find(path);
    if (node === undefined) return [];
    if (node instanceof FileNode) throw new FileError('other', path, `${path}: not a folder`);
    return [...node.entries.keys()].sort();
  }

  async exists(path: string): Promise<boolean> {
    await this.#reading(path);
    return this.#find(path) !== undefined;
  }

  async remove(path: string): Promise<void> {
    await this.#reading(path);
    const node = this.#find(path);
    if (node === undefined) return;
    if (node instanceof FolderNode)
      for (const name of [...node.entries.keys()]) await this.remove(join(path, name));
    this.step('remove', path);
    this.#folder(dirname(path)).apply([{ name: basename(path), node: null }]);
  }

  async syncFolder(path: string): Promise<void> {
    await this.#reading(path);
    const node = this.#folder(path);
    this.step('sync-folder', path);
    node.synced = new Map(node.entries);
    node.changes = [];
  }

  async lockFolder(path: string): Promise<() => Promise<void>> {
    const file = await this.open(join(path, 'lock'), 'create');
    await file.close();
    if (this.#locks.has(path)) throw new FileError('busy', path, `${path}: in use`);
    this.#locks.add(path);
    return () => {
      this.#locks.delete(path);
      return Promise.resolve();
    };
  }

  /** All paths of files below a folder. */
  paths(folder = '/'): string[] {
    const node = this.#find(folder);
    if (node === undefined) return [];
    if (node instanceof FileNode) return [folder];
    return [...node.entries.keys()].sort().flatMap((name) => this.paths(join(folder, name)));
  }

  /** The content of a file, to look at or to damage in place. */
  contentOf(path: string): Uint8Array {
    const node = this.#find(path);
    if (!(node instanceof FileNode)) throw notFound(path);
    return node.content;
  }

  /** Announces a step to the guard; throws what it says, unless a part of a write gets through first. */
  step(
    kind: Operation['kind'],
    path: string,
    write?: { readonly bytes: Uint8Array; apply(count: number): void },
  ): void {
    const stopped = this.guard({ kind, path });
    if (stopped === null) return;
    if (write !== undefined) write.apply(Math.floor(write.bytes.byteLength * stopped.writeOnly));
    throw stopped.error;
  }

  #find(path: string): Node | undefined {
    if (path === '/') return this.root;
    const parent = this.#find(dirname(path));
    if (parent instanceof FileNode) throw new FileError('other', path, `${path}: not a folder`);
    return parent?.entries.get(basename(path));
  }

  #folder(path: string): FolderNode {
    const node = this.#find(path);
    if (node instanceof FolderNode) return node;
    throw notFound(path);
  }

  async #reading(path: string): Promise<void> {
    await Promise.resolve();
    this.readGuard(path);
  }
}

const notFound = (path: string): FileError => fault('not-found', path);

/** An error as the real file system would give it. */
export const fault = (code: FileErrorCode, path: string): FileError =>
  new FileError(code, path, `${path}: ${code}`);

class MemoryFile implements File {
  readonly isBlockDevice = false;
  #closed = false;

  constructor(
    readonly path: string,
    readonly node: FileNode,
    readonly files: MemoryFiles,
    readonly writable: boolean,
  ) {}

  async size(): Promise<number> {
    await this.#turn();
    return this.node.content.byteLength;
  }

  async read(into: Uint8Array, position: number): Promise<void> {
    await this.#turn();
    this.readSync(into, position);
  }

  readSync(into: Uint8Array, position: number): void {
    this.#check(position);
    if (into.byteLength === 0) return;
    if (position + into.byteLength > this.node.content.byteLength) throw fault('short-read', this.path);
    into.set(this.node.content.subarray(position, position + into.byteLength));
  }

  async write(from: Uint8Array, position: number): Promise<void> {
    await this.#turn();
    this.writeSync(from, position);
  }

  writeSync(from: Uint8Array, position: number): void {
    this.#checkWrite(position);
    if (from.byteLength === 0) return;
    const apply = (count: number): void => {
      if (count > 0) this.node.apply({ kind: 'write', position, bytes: from.slice(0, count) });
    };
    this.files.step('write', this.path, { bytes: from, apply });
    apply(from.byteLength);
  }

  async truncate(size: number): Promise<void> {
    await this.#turn();
    this.#checkWrite(size);
    this.files.step('truncate', this.path);
    this.node.apply({ kind: 'truncate', size });
  }

  async sync(): Promise<void> {
    await this.#turn();
    this.files.step('sync', this.path);
    this.node.synced = this.node.content.slice();
    this.node.changes = [];
  }

  async nextData(from: number): Promise<Range | null> {
    await this.#turn();
    this.#check(from);
    const { content } = this.node;
    const isData = (chunk: number): boolean =>
      content.subarray(chunk * CHUNK, (chunk + 1) * CHUNK).some((byte) => byte !== 0);
    const chunks = Math.ceil(content.byteLength / CHUNK);
    let chunk = Math.floor(from / CHUNK);
    while (chunk < chunks && !isData(chunk)) chunk++;
    if (chunk >= chunks) return null;
    const start = Math.max(from, chunk * CHUNK);
    while (chunk < chunks && isData(chunk)) chunk++;
    return { start, end: Math.min(chunk * CHUNK, content.byteLength) };
  }

  nextDataSync(from: number): number | null {
    this.#check(from);
    const { content } = this.node;
    let at = from;
    while (at < content.byteLength && content[at] === 0) at++;
    return at < content.byteLength ? Math.max(from, at - (at % HOLE)) : Infinity;
  }

  punchSync(position: number, length: number): boolean {
    this.#checkWrite(position);
    this.files.step('punch', this.path);
    const count = Math.min(length, this.node.content.byteLength - position);
    if (count > 0) this.node.apply({ kind: 'write', position, bytes: new Uint8Array(count) });
    return true;
  }

  close(): Promise<void> {
    if (this.#closed) return Promise.reject(new FileError('other', this.path, `${this.path}: closed twice`));
    this.#closed = true;
    return Promise.resolve();
  }

  async #turn(): Promise<void> {
    await Promise.resolve();
    this.files.readGuard(this.path);
  }

  #check(position: number): void {
    if (this.#closed) throw new FileError('other', this.path, `${this.path}: is closed`);
    if (!Number.isSafeInteger(position) || position < 0) {
      throw new FileError('other', this.path, `${this.path}: position ${position}`);
    }
  }

  #checkWrite(position: number): void {
    this.#check(position);
    if (!this.writable) throw new FileError('other', this.path, `${this.path}: opened for reading`);
  }
}
