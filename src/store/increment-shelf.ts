import { join } from 'node:path';
import type { StateId } from '../../protocol/units.js';
import { FileError, type Files } from '../platform/files.js';
import { Increment } from './increment.js';
import { damagedFile } from './sealed-record.js';

/** How much the tables of increments that no reader uses may take in memory. */
const IDLE_BYTES = 64 << 20;

interface Shelved {
  readonly opened: Promise<Increment>;
  users: number;
}

/** The open increments of a volume, shared by its readers; idle ones are kept up to a bound, last used last out. */
export class IncrementShelf {
  readonly #shelved = new Map<string, Shelved>();

  constructor(
    readonly files: Files,
    readonly folder: string,
  ) {}

  path(name: string): string {
    return join(this.folder, name);
  }

  /** Opens the increment `name`, which leads back to `older`; every acquire needs its release. */
  async acquire(name: string, older: StateId): Promise<Increment> {
    const shelved = this.#shelved.get(name) ?? { opened: this.#open(name, older), users: 0 };
    this.#shelved.delete(name);
    this.#shelved.set(name, shelved);
    shelved.users++;
    try {
      return await shelved.opened;
    } catch (cause) {
      this.#shelved.delete(name);
      throw cause;
    }
  }

  async release(name: string): Promise<void> {
    const shelved = this.#shelved.get(name);
    if (shelved === undefined) return;
    shelved.users--;
    await this.#trim(IDLE_BYTES);
  }

  /** Closes what no reader uses. */
  close(): Promise<void> {
    return this.#trim(0);
  }

  async #open(name: string, older: StateId): Promise<Increment> {
    const path = this.path(name);
    try {
      return await Increment.open(this.files, path, older);
    } catch (cause) {
      if (cause instanceof FileError && cause.code === 'not-found') {
        throw damagedFile(path, 'it is missing', cause);
      }
      throw cause;
    }
  }

  async #trim(limit: number): Promise<void> {
    let bytes = 0;
    for (const [name, { opened, users }] of [...this.#shelved].reverse()) {
      if (users > 0) continue;
      const increment = await opened;
      bytes += increment.byteLength;
      // It may have been taken up again, or closed by another trim, while we waited.
      if (bytes <= limit || this.#shelved.get(name)?.users !== 0) continue;
      this.#shelved.delete(name);
      await increment.close();
    }
  }
}
