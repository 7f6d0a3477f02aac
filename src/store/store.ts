import { join } from 'node:path';
import type { AsyncDecompressor } from '../../protocol/parcel/parcel.js';
import type { Clock } from '../platform/clock.js';
import { FileError, type Files } from '../platform/files.js';
import type { Random } from '../platform/random.js';
import { brotliDecompressor } from './brotli.js';
import { DirectoryVolume } from './directory-volume.js';
import { fromFileError, StoreError } from './errors.js';
import type { VolumeStore, VolumeStoreStatus } from './volume-store.js';

export interface StoreOptions {
  /** Absolute path; made if absent. */
  readonly folder: string;
  readonly files: Files;
  readonly clock: Clock;
  readonly random: Random;
  /** Brotli by Node's zlib unless given. */
  readonly decompressor?: AsyncDecompressor;
}

interface Entry {
  readonly primary: string;
  readonly volume: string;
  /** Open, or the failure that keeps it closed; opened again when it is asked for. */
  opened: DirectoryVolume | StoreError;
}

/** All far copies a backup keeps: `folder/<primary>/<volume>/`. One process at a time has it open. */
export class Store {
  readonly #options: StoreOptions;
  readonly #unlock: () => Promise<void>;
  readonly #entries = new Map<string, Entry>();
  readonly #opening = new Map<string, Promise<DirectoryVolume>>();
  #closed = false;

  private constructor(options: StoreOptions, unlock: () => Promise<void>) {
    this.#options = options;
    this.#unlock = unlock;
  }

  /**
   * Locks the folder (`in-use`), opens every volume in it and finishes the applies that were under way. A volume
   * that cannot be opened does not keep the others closed: its `status` has the `fault`, `volume()` fails with it.
   */
  static async open(options: StoreOptions): Promise<Store> {
    const store = new Store(options, await lock(options));
    try {
      for (const primary of await store.#folders(options.folder)) {
        for (const volume of await store.#folders(join(options.folder, primary))) {
          await store.#open(primary, volume).catch((cause: unknown) => {
            if (!(cause instanceof StoreError)) throw cause;
          });
        }
      }
      return store;
    } catch (cause) {
      await store.close();
      throw fromFileError(cause);
    }
  }

  /**
   * The far copy of a primary's volume; nothing is made on the disk before its first `begin`. Fails with `bad-name`,
   * or with what keeps the volume closed.
   */
  async volume(primary: string, name: string): Promise<VolumeStore> {
    checkName(primary);
    checkName(name);
    if (this.#closed) throw new StoreError('closed', 'the store is closed');
    const entry = this.#entries.get(key(primary, name));
    if (entry?.opened instanceof DirectoryVolume) return entry.opened;
    return this.#open(primary, name);
  }

  /** Every volume that was ever offered, by primary and name. */
  volumes(): VolumeStoreStatus[] {
    return [...this.#entries.values()]
      .filter(({ opened }) => opened instanceof StoreError || opened.exists)
      .map(({ primary, volume, opened }) =>
        opened instanceof StoreError
          ? {
              primary,
              volume,
              volumeId: null,
              blockSize: null,
              state: null,
              capture: null,
              fault: opened.message,
            }
          : opened.status(),
      )
      .sort((a, b) => compare(a.primary, b.primary) || compare(a.volume, b.volume));
  }

  /** Waits for the changes under way, closes all files and gives the lock back. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.allSettled(this.#opening.values());
    for (const { opened } of this.#entries.values())
      if (opened instanceof DirectoryVolume) await opened.close();
    await this.#unlock();
  }

  #open(primary: string, volume: string): Promise<DirectoryVolume> {
    const name = key(primary, volume);
    const opening =
      this.#opening.get(name) ?? this.#openOnce(primary, volume).finally(() => this.#opening.delete(name));
    this.#opening.set(name, opening);
    return opening;
  }

  async #openOnce(primary: string, volume: string): Promise<DirectoryVolume> {
    const { files, clock, random, decompressor = brotliDecompressor } = this.#options;
    const folder = join(this.#options.folder, primary, volume);
    try {
      const opened = await DirectoryVolume.open({
        files,
        clock,
        random,
        decompressor,
        folder,
        primary,
        volume,
      });
      this.#entries.set(key(primary, volume), { primary, volume, opened });
      return opened;
    } catch (cause) {
      if (cause instanceof StoreError)
        this.#entries.set(key(primary, volume), { primary, volume, opened: cause });
      throw cause;
    }
  }

  /** Names in a folder that can be a primary's or a volume's; files and strangers are left alone. */
  async #folders(path: string): Promise<string[]> {
    const { files } = this.#options;
    const folders: string[] = [];
    for (const name of await files.list(path)) {
      if (nameFault(name) !== null) continue;
      try {
        if ((await files.list(join(path, name))).length > 0) folders.push(name);
      } catch (cause) {
        // Not a folder, or one (`lost+found`) that is not for us.
        if (!(cause instanceof FileError) || (cause.code !== 'other' && cause.code !== 'no-permission'))
          throw cause;
      }
    }
    return folders;
  }
}

async function lock({ files, folder }: StoreOptions): Promise<() => Promise<void>> {
  try {
    await files.makeFolder(folder);
    return await files.lockFolder(folder);
  } catch (cause) {
    if (cause instanceof FileError && cause.code === 'busy') {
      throw new StoreError(
        'in-use',
        `the store ${folder} is in use by another farcopy process`,
        'ask the running backup, or stop it first',
        { cause },
      );
    }
    throw fromFileError(cause);
  }
}

const key = (primary: string, volume: string): string => `${primary}/${volume}`;
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** The longest name, in bytes of UTF-8: what a folder's name may be on every file system, with room to spare. */
const MAX_NAME_BYTES = 128;

/** Why a name cannot be a folder of the store; null if it can. `lock` is the store's own file. */
function nameFault(name: string): string | null {
  if (name === '') return 'it is empty';
  if (name.startsWith('.')) return 'it starts with a dot';

  if (/[/\\\u0000-\u001f\u007f]/.test(name)) return 'it has a slash or a control character';
  if (name === 'lock' || name === 'lost+found') return 'it is reserved';
  if (Buffer.byteLength(name) > MAX_NAME_BYTES) return `it is longer than ${MAX_NAME_BYTES} bytes`;
  return null;
}

function checkName(name: string): void {
  const fault = nameFault(name);
  if (fault === null) return;
  throw new StoreError(
    'bad-name',
    `${JSON.stringify(name)} cannot name a folder of the store: ${fault}`,
    'choose another name',
  );
}
