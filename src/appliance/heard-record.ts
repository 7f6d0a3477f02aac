import { z } from 'zod';
import { wallTime, type WallTime } from '../../protocol/units.js';
import { FileError, type Files } from '../platform/files.js';

const MAX_BYTES = 1 << 20;

/** The last instant that has a date. */
const LAST = 8.64e15;

const time = z.number().int().nonnegative().max(LAST).transform(wallTime);

const schema = z.object({
  magic: z.literal('farcopy heard'),
  version: z.literal(1),
  primaries: z.record(z.string(), z.object({ since: time, heard: time.nullable() })),
});

/** What a backup remembers of a primary over restarts, by its own wall clock. */
export interface Heard {
  /** When this backup first knew of it. */
  readonly since: WallTime;
  /** When it was last heard of; null: never. */
  readonly heard: WallTime | null;
}

/** When each primary was last heard of, in one small file of the appliance's state. */
export class HeardRecord {
  readonly #files: Files;
  readonly #path: string;

  constructor(files: Files, path: string) {
    this.#files = files;
    this.#path = path;
  }

  /** A file that is absent or cannot be understood counts as empty. */
  async read(): Promise<ReadonlyMap<string, Heard>> {
    try {
      const text = Buffer.from(await this.#files.readWhole(this.#path, MAX_BYTES)).toString('utf8');
      return new Map(Object.entries(schema.parse(JSON.parse(text)).primaries));
    } catch (error) {
      if (error instanceof FileError || error instanceof SyntaxError || error instanceof z.ZodError)
        return new Map();
      throw error;
    }
  }

  /** Durable when it resolves. Fails with FileError. */
  async write(primaries: ReadonlyMap<string, Heard>): Promise<void> {
    const content = { magic: 'farcopy heard', version: 1, primaries: Object.fromEntries(primaries) };
    await this.#files.replace(this.#path, Buffer.from(`${JSON.stringify(content)}\n`));
  }
}
