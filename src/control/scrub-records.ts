import { join } from 'node:path';
import { z } from 'zod';
import { FileError, type Files } from '../platform/files.js';

/** What stays known of the last scrub of a volume's copy. */
export interface ScrubRecord {
  /** When it ended, ISO 8601 with zone. */
  readonly time: string;
  readonly passed: boolean;
  readonly seconds: number;
  /** Blocks of the image that were not what they should be, and those of which that could not be told. */
  readonly rottenBlocks: number;
  readonly unknownBlocks: number;
  /** Blocks lost of each restore point that there was, by its id; 0: it was whole; null: it is not known how many. */
  readonly points: Readonly<Record<string, number | null>>;
}

/** Where an appliance keeps them. */
export const scrubsPath = (state: string): string => join(state, 'scrubs.json');

const MAX_BYTES = 64 << 20;

const count = z.int().nonnegative();
const record = z.object({
  time: z.string(),
  passed: z.boolean(),
  seconds: z.number().nonnegative(),
  rottenBlocks: count,
  unknownBlocks: count,
  points: z.record(z.string(), count.nullable()),
});
const schema = z.object({
  magic: z.literal('farcopy scrubs'),
  version: z.literal(1),
  /** By `PRIMARY/VOLUME`. */
  volumes: z.record(z.string(), record),
});

/** What the last scrub of each volume has found, in one small file beside the appliance's state. */
export class ScrubRecords {
  readonly #files: Files;
  readonly #path: string;

  constructor(files: Files, path: string) {
    this.#files = files;
    this.#path = path;
  }

  /** Of one `PRIMARY/VOLUME`; null: there was none. A file that is absent or cannot be understood counts as empty. */
  async of(volume: string): Promise<ScrubRecord | null> {
    return (await this.#read())[volume] ?? null;
  }

  /** Durable when it resolves. Fails with FileError. */
  async set(volume: string, scrubbed: ScrubRecord): Promise<void> {
    const volumes = { ...(await this.#read()), [volume]: scrubbed };
    const content = { magic: 'farcopy scrubs', version: 1, volumes };
    await this.#files.replace(this.#path, Buffer.from(`${JSON.stringify(content)}\n`));
  }

  async #read(): Promise<Record<string, ScrubRecord>> {
    try {
      const text = Buffer.from(await this.#files.readWhole(this.#path, MAX_BYTES)).toString('utf8');
      return schema.parse(JSON.parse(text)).volumes;
    } catch (error) {
      if (error instanceof FileError || error instanceof SyntaxError || error instanceof z.ZodError)
        return {};
      throw error;
    }
  }
}
