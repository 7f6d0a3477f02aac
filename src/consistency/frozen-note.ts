import { z } from 'zod';
import { FileError, type Files } from '../platform/files.js';

const MAX_BYTES = 4096;

const schema = z.object({
  magic: z.literal('farcopy frozen'),
  version: z.literal(1),
  since: z.string(),
  /** The shell of the `before` command, which leads its own process group; `startedAt` in ticks since the boot. */
  before: z.object({ pid: z.number().int().positive(), startedAt: z.string() }).nullable(),
});

/**
 * A file that is there while a volume may be frozen: made, durably, before the `before` command is run, and removed
 * when `after` has undone it. One that is found at a start was left by a process that was killed in between; its
 * `before` command may even be at work still, and would freeze what has just been thawed.
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
  write(since: number): Promise<void> {
    return this.#write(since, null);
  }

  /** Adds who runs the command; resolves also when that cannot be had. */
  async writeRunning(since: number, pid: number): Promise<void> {
    const startedAt = await this.#startOf(pid);
    if (startedAt !== null) await this.#write(since, { pid, startedAt });
  }

  /** The process group of a `before` command that is still at work; null: none. */
  async stray(): Promise<number | null> {
    try {
      const text = Buffer.from(await this.#files.readWhole(this.#path, MAX_BYTES)).toString('utf8');
      const { before } = schema.parse(JSON.parse(text));
      if (before === null || (await this.#startOf(before.pid)) !== before.startedAt) return null;
      return before.pid;
    } catch (error) {
      if (error instanceof FileError || error instanceof SyntaxError || error instanceof z.ZodError)
        return null;
      throw error;
    }
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

  async #write(since: number, before: z.infer<typeof schema>['before']): Promise<void> {
    const content = { magic: 'farcopy frozen', version: 1, since: new Date(since).toISOString(), before };
    await this.#files.replace(this.#path, Buffer.from(`${JSON.stringify(content)}\n`));
  }

  /** Tells a process from a later one of the same number (proc(5), `stat`, field 22); null: it is gone. */
  async #startOf(pid: number): Promise<string | null> {
    try {
      const stat = Buffer.from(await this.#files.readWhole(`/proc/${pid}/stat`, MAX_BYTES)).toString('utf8');
      return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
    } catch (error) {
      if (error instanceof FileError) return null;
      throw error;
    }
  }
}
