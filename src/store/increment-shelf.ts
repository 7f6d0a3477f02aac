import { join } from 'node:path';
import type { StateId } from '../../protocol/units.js';
import { FileError, type Files } from '../platform/files.js';
import { Increment, IncrementWriter, type IncrementBounds } from './increment.js';
import { damagedFile } from './sealed-record.js';

/** One step back from the image: the increment `name` leads to the state `older`. */
export interface ChainLink {
  readonly name: string;
  readonly older: StateId;
}

/** Files that stay open when nobody reads them at this moment; those in use come on top. */
const MAX_IDLE = 64;

interface OpenIncrement {
  readonly opened: Promise<Increment>;
  users: number;
}

/**
 * The increments of a volume as files. Keeps a few of them open (last used, last closed), however many there are, and
 * keeps the file of a pinned one until it is unpinned, also when the volume has no use for it any more.
 */
export class IncrementShelf {
  /** In the order of their last use. */
  readonly #open = new Map<string, OpenIncrement>();
  readonly #pins = new Map<string, number>();
  readonly #unwanted = new Set<string>();

  constructor(
    readonly files: Files,
    readonly folder: string,
  ) {}

  path(name: string): string {
    return join(this.folder, name);
  }

  /** Makes the new increment `name`, whole and synced when it resolves; nothing of it is left if it fails. */
  async make(
    name: string,
    bounds: IncrementBounds,
    fill: (writer: IncrementWriter) => Promise<void>,
  ): Promise<void> {
    const writer = await IncrementWriter.create(this.files, this.path(name), bounds);
    try {
      await fill(writer);
      await writer.finish();
    } catch (cause) {
      await writer.close();
      await this.files.remove(this.path(name));
      throw cause;
    }
    await writer.close();
    await this.files.syncFolder(this.folder);
  }

  /** Lets `work` read an increment; it is not to be kept. */
  async use<T>({ name, older }: ChainLink, work: (increment: Increment) => Promise<T>): Promise<T> {
    const entry = this.#open.get(name) ?? { opened: this.#openFile(name, older), users: 0 };
    this.#open.delete(name);
    this.#open.set(name, entry);
    entry.users++;
    try {
      return await work(await entry.opened);
    } catch (cause) {
      // One that could not be opened is tried again by the next user.
      if (this.#open.get(name) === entry && !(await isOpen(entry))) this.#open.delete(name);
      throw cause;
    } finally {
      entry.users--;
      await this.#closeIdle(MAX_IDLE);
    }
  }

  /** Every pin needs its unpin. */
  pin(name: string): void {
    this.#pins.set(name, (this.#pins.get(name) ?? 0) + 1);
  }

  async unpin(name: string): Promise<void> {
    const left = (this.#pins.get(name) ?? 0) - 1;
    if (left > 0) {
      this.#pins.set(name, left);
      return;
    }
    this.#pins.delete(name);
    if (this.#unwanted.has(name)) await this.#remove(name);
  }

  /** Removes an increment that no point needs, now or when it is unpinned. One that stays is an orphan at the next opening. */
  async discard(name: string): Promise<void> {
    if (this.#pins.has(name)) this.#unwanted.add(name);
    else await this.#remove(name);
  }

  /** Removes every file but the `wanted`; before anything is read. */
  async removeOthers(wanted: ReadonlySet<string>): Promise<void> {
    for (const name of await this.files.list(this.folder)) {
      if (!wanted.has(name)) await this.files.remove(this.path(name));
    }
  }

  /** Closes what nobody reads at this moment. */
  close(): Promise<void> {
    return this.#closeIdle(0);
  }

  async #remove(name: string): Promise<void> {
    this.#unwanted.delete(name);
    const entry = this.#open.get(name);
    if (entry?.users === 0) {
      this.#open.delete(name);
      await closeFile(entry);
    }
    try {
      await this.files.remove(this.path(name));
    } catch (cause) {
      if (!(cause instanceof FileError)) throw cause;
    }
  }

  async #openFile(name: string, older: StateId): Promise<Increment> {
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

  async #closeIdle(limit: number): Promise<void> {
    if (this.#open.size <= limit) return;
    const idle = [...this.#open].filter(([, { users }]) => users === 0);
    for (const [name, entry] of idle.slice(0, Math.max(0, idle.length - limit))) {
      if (entry.users > 0 || this.#open.get(name) !== entry) continue;
      this.#open.delete(name);
      await closeFile(entry);
    }
  }
}

const isOpen = ({ opened }: OpenIncrement): Promise<boolean> =>
  opened.then(
    () => true,
    () => false,
  );

const closeFile = async ({ opened }: OpenIncrement): Promise<void> =>
  (await opened.catch(() => null))?.close();
