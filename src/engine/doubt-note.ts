import { join } from 'node:path';
import type { VolumeId } from '../../protocol/units.js';
import type { Files } from '../platform/files.js';

/** Lives as long as the kernel's boot, as do the marks that a killed process leaves in the page cache. */
const DEFAULT_FOLDER = '/dev/shm';

/**
 * A second place to say that marks are missing, for when the disk of the state folder takes nothing any more: a file
 * in memory that is there until the next boot, after which the maps are in doubt anyway. All of it is an attempt.
 */
export class DoubtNote {
  readonly #path: string;
  #isWritten = false;

  constructor(
    readonly files: Files,
    volume: VolumeId,
    folder = DEFAULT_FOLDER,
  ) {
    this.#path = join(folder, `farcopy-doubt-${volume}`);
  }

  isThere(): Promise<boolean> {
    return this.files.exists(this.#path).catch(() => false);
  }

  async write(): Promise<void> {
    if (this.#isWritten) return;
    this.#isWritten = true;
    await this.files
      .replace(this.#path, Buffer.from('changed blocks could not be noted\n'))
      .catch(() => undefined);
  }

  /** The marks are all on disk now. */
  async remove(): Promise<void> {
    this.#isWritten = false;
    await this.files.remove(this.#path).catch(() => undefined);
  }
}
