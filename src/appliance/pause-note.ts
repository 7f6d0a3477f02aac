import { z } from 'zod';
import { FileError, type Files } from '../platform/files.js';

const MAX_BYTES = 1 << 20;

const schema = z.object({
  magic: z.literal('farcopy paused'),
  version: z.literal(1),
  volumes: z.array(z.string()),
});

/** The volumes whose transfers the operator has paused, remembered over a restart in one small file. */
export class PauseNote {
  readonly #files: Files;
  readonly #path: string;
  #volumes: ReadonlySet<string>;

  private constructor(files: Files, path: string, volumes: ReadonlySet<string>) {
    this.#files = files;
    this.#path = path;
    this.#volumes = volumes;
  }

  /** A file that is absent or cannot be understood counts as empty: nothing is paused. */
  static async open(files: Files, path: string): Promise<PauseNote> {
    return new PauseNote(files, path, new Set(await read(files, path)));
  }

  has(volume: string): boolean {
    return this.#volumes.has(volume);
  }

  /** Durable when it resolves. Fails with FileError, and then nothing has changed. */
  async keep(volumes: readonly string[]): Promise<void> {
    const content = { magic: 'farcopy paused', version: 1, volumes };
    await this.#files.replace(this.#path, Buffer.from(`${JSON.stringify(content)}\n`));
    this.#volumes = new Set(volumes);
  }
}

async function read(files: Files, path: string): Promise<readonly string[]> {
  try {
    return schema.parse(JSON.parse(Buffer.from(await files.readWhole(path, MAX_BYTES)).toString('utf8')))
      .volumes;
  } catch (error) {
    if (error instanceof FileError || error instanceof SyntaxError || error instanceof z.ZodError) return [];
    throw error;
  }
}
