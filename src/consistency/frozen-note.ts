import { FileError, type Files } from '../platform/files.js';

/**
 * A file that is there while a volume may be frozen: made, durably, before the `before` command is run, and removed
 * when `after` has undone it. One that is found at a start was left by a process that was killed in between.
 */
export class FrozenNote {
  readonly #files: Files;
  readonly #folder: string;
  readonly #path: string;

  /** `folder` exists; it is the volume's own. */
  constructor(files: Files, folder: string) {
    this.#files = files;
    this.#folder = folder;
    this.#path = `${folder}/frozen.json`;
  }

  exists(): Promise<boolean> {
    return this.#files.exists(this.#path);
  }

  /** `since`: wall time in ms, for people. */
  async write(since: number): Promise<void> {
    const text = `${JSON.stringify({ magic: 'farcopy frozen', version: 1, since: new Date(since).toISOString() })}\n`;
    await this.#files.replace(this.#path, Buffer.from(text));
  }

  async remove(): Promise<void> {
    try {
      await this.#files.remove(this.#path);
      await this.#files.syncFolder(this.#folder);
    } catch (error) {
      // Then `after` is run once more at the next start, which does no harm.
      if (!(error instanceof FileError)) throw error;
    }
  }
}
