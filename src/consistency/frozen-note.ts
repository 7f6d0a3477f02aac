import { z } from 'zod';
import { FileError, type Files } from '../platform/files.js';
import { groupsWithToken, readStat } from './stray-processes.js';

const MAX_BYTES = 4096;

const schema = z.object({
  magic: z.literal('farcopy frozen'),
  version: z.literal(1),
  since: z.string(),
  /** In the environment of the command and of what it has started; absent in notes of before there were tokens. */
  token: z.string().min(1).max(128).optional(),
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

  /** `since`: wall time in ms, for people. `token`: what the `before` command will have in its environment. */
  write(since: number, token: string): Promise<void> {
    return this.#write(since, token, null);
  }

  /** Adds who is to run the command; durable when it resolves. */
  async writeRunning(since: number, token: string, pid: number): Promise<void> {
    const stat = await readStat(this.#files, pid);
    if (stat !== null) await this.#write(since, token, { pid, startedAt: stat.startedAt });
  }

  /** The process groups of a `before` command, and of what it has started, that are still at work. */
  async strays(): Promise<readonly number[]> {
    try {
      const text = Buffer.from(await this.#files.readWhole(this.#path, MAX_BYTES)).toString('utf8');
      const { before, token } = schema.parse(JSON.parse(text));
      const groups = new Set(token === undefined ? [] : await groupsWithToken(this.#files, token));
      const stat = before === null ? null : await readStat(this.#files, before.pid);
      if (before !== null && stat?.startedAt === before.startedAt && stat.state !== 'Z')
        groups.add(before.pid);
      return [...groups];
    } catch (error) {
      if (error instanceof FileError || error instanceof SyntaxError || error instanceof z.ZodError)
        return [];
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

  async #write(since: number, token: string, before: z.infer<typeof schema>['before']): Promise<void> {
    const content = {
      magic: 'farcopy frozen',
      version: 1,
      since: new Date(since).toISOString(),
      token,
      before,
    };
    await this.#files.replace(this.#path, Buffer.from(`${JSON.stringify(content)}\n`));
  }
}
