import { join } from 'node:path';
import type { VolumeId } from '../../protocol/units.js';
import type { Files } from '../platform/files.js';
import { SerialQueue } from '../platform/serial-queue.js';

/**
 * The first lives as long as the kernel's boot, as do the marks that a killed process leaves in the page cache; the
 * second is mostly another disk, and outlives a power cut.
 */
const DEFAULT_FOLDERS = ['/dev/shm', '/var/tmp'];

/** What could not be written: which blocks changed; which parts of the device are hot; what a failed sync has put in doubt. */
export type NotedDoubt = 'marks' | 'hot-log' | 'sync';

const NAMES: Readonly<Record<NotedDoubt, { readonly name: string; readonly text: string }>> = {
  marks: { name: 'farcopy-doubt', text: 'changed blocks could not be noted\n' },
  sync: { name: 'farcopy-sync-doubt', text: 'a sync of the device failed\n' },
  'hot-log': { name: 'farcopy-hot-doubt', text: 'what is being written could not be noted\n' },
};

/**
 * Other places to say that something is missing, for when the disk of the state folder takes nothing any more. All of
 * it is an attempt.
 */
export class DoubtNote {
  readonly #paths: readonly string[];
  readonly #turns = new SerialQueue();
  #written: Promise<void> | null = null;

  constructor(
    readonly files: Files,
    volume: VolumeId,
    readonly kind: NotedDoubt,
    /** Where; absent: a folder in memory and one that lasts. */
    folder?: string,
  ) {
    const folders = folder === undefined ? DEFAULT_FOLDERS : [folder];
    this.#paths = folders.map((each) => join(each, `${NAMES[kind].name}-${volume}`));
  }

  async isThere(): Promise<boolean> {
    const found = await Promise.all(this.#paths.map((path) => this.files.exists(path).catch(() => false)));
    return found.includes(true);
  }

  /** By this process, and not removed since. */
  get isWritten(): boolean {
    return this.#written !== null;
  }

  /** Resolves when that was attempted, also for who comes meanwhile. */
  write(): Promise<void> {
    const text = Buffer.from(NAMES[this.kind].text);
    this.#written ??= this.#turns.run(async () => {
      await Promise.allSettled(this.#paths.map((path) => this.files.replace(path, text)));
    });
    return this.#written;
  }

  /** All is on disk now. */
  remove(): Promise<void> {
    this.#written = null;
    return this.#turns.run(async () => {
      await Promise.allSettled(this.#paths.map((path) => this.files.remove(path)));
    });
  }
}
