import * as fs from 'node:fs';
import { FileError, type File, type FileErrorCode, type Files } from '../../../src/platform/files.js';
import { nodeFiles } from '../../../src/platform/node-files.js';

export type FileAction = 'open' | 'read' | 'write' | 'sync' | 'replace' | 'punch' | 'truncate';

/** Which error an action on a path is to end with; null lets it through. May wait to delay an asynchronous one. */
export type Fault = (action: FileAction, path: string) => FileErrorCode | null;

export interface FaultyFiles extends Files {
  fault: Fault;
  /** Awaited before each asynchronous write. */
  delay: (path: string) => Promise<void>;
  /** Awaited before each asynchronous read. */
  delayRead: (path: string) => Promise<void>;
  /** How many of so many bytes can be read without waiting; null: that cannot be told. */
  cached: (wanted: number) => number | null;
  /** How often it was asked where the next data are, at once. */
  holesAsked: number;
  /** Actions so far that were let through, as `action path`. */
  readonly log: string[];
}

/** The real files, without the cost of real syncs, and with faults to order. */
export function faultyFiles(): FaultyFiles {
  const check = (action: FileAction, path: string): void => {
    const code = files.fault(action, path);
    if (code !== null) throw new FileError(code, path, `${path}: injected ${code}`);
    if (files.log.length < 100_000) files.log.push(`${action} ${path}`);
  };
  const files: FaultyFiles = {
    ...nodeFiles,
    fault: () => null,
    delay: () => Promise.resolve(),
    delayRead: () => Promise.resolve(),
    cached: () => null,
    holesAsked: 0,
    log: [],
    async open(path, mode) {
      check('open', path);
      return wrap(await nodeFiles.open(path, mode), check, files);
    },
    async replace(path, content, permissions = 0o600) {
      check('replace', path);
      await nodeFiles.open(`${path}.new`, 'create').then((file) => file.close());
      fs.writeFileSync(`${path}.new`, content, { mode: permissions });
      fs.renameSync(`${path}.new`, path);
    },
    syncFolder: () => Promise.resolve(),
  };
  return files;
}

function wrap(
  file: File,
  check: (action: FileAction, path: string) => void,
  waits: Pick<FaultyFiles, 'delay' | 'delayRead' | 'cached' | 'holesAsked'>,
): File {
  const { path } = file;
  return {
    path,
    isBlockDevice: file.isBlockDevice,
    size: () => file.size(),
    async read(into, position) {
      check('read', path);
      await waits.delayRead(path);
      await file.read(into, position);
    },
    readSync(into, position) {
      check('read', path);
      file.readSync(into, position);
    },
    readCachedSync(into, position) {
      const count = waits.cached(into.byteLength);
      if (count !== null) file.readSync(into.subarray(0, count), position);
      return count;
    },
    async write(from, position) {
      check('write', path);
      await waits.delay(path);
      await file.write(from, position);
    },
    writeSync(from, position) {
      check('write', path);
      file.writeSync(from, position);
    },
    async truncate(size) {
      check('truncate', path);
      await file.truncate(size);
    },
    // eslint-disable-next-line @typescript-eslint/require-await -- a fault must reject, not throw
    async sync() {
      check('sync', path);
    },
    nextData: (from) => file.nextData(from),
    nextDataSync(from) {
      waits.holesAsked++;
      return file.nextDataSync?.(from) ?? null;
    },
    punchSync(position, length) {
      check('punch', path);
      return file.punchSync(position, length);
    },
    // Copies stand for what a killed process leaves: they must not be told from it.
    attributes: async () => {
      const attributes = await file.attributes?.();
      if (attributes === undefined) throw new Error('no attributes');
      return { ...attributes, identity: null };
    },
    close: () => file.close(),
  };
}
