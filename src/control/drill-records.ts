import { join } from 'node:path';
import { z } from 'zod';
import { FileError, type Files } from '../platform/files.js';

/** How the last drill of a point went. */
export interface DrillRecord {
  /** When it ended, ISO 8601 with zone. */
  readonly time: string;
  readonly passed: boolean;
  /** Why not, in a few words with the end of what the command said; null: it passed. */
  readonly trouble: string | null;
  readonly seconds: number;
}

/** Where an appliance keeps them. */
export const drillsPath = (state: string): string => join(state, 'drills.json');

const MAX_BYTES = 16 << 20;

const schema = z.object({
  magic: z.literal('farcopy drills'),
  version: z.literal(1),
  /** By `PRIMARY/VOLUME`, then by the point's id. */
  volumes: z.record(
    z.string(),
    z.record(
      z.string(),
      z.object({
        time: z.string(),
        passed: z.boolean(),
        trouble: z.string().nullable(),
        seconds: z.number().nonnegative(),
      }),
    ),
  ),
});

type Drills = Record<string, Record<string, DrillRecord>>;

/** What drills have found, in one small file beside the appliance's state. */
export class DrillRecords {
  readonly #files: Files;
  readonly #path: string;

  constructor(files: Files, path: string) {
    this.#files = files;
    this.#path = path;
  }

  /** Of one `PRIMARY/VOLUME`, by point. A file that is absent or cannot be understood counts as empty. */
  async of(volume: string): Promise<ReadonlyMap<string, DrillRecord>> {
    return new Map(Object.entries((await this.#read())[volume] ?? {}));
  }

  /** Durable when it resolves; records of points that are not among `existing` go. Fails with FileError. */
  async set(
    volume: string,
    point: string,
    record: DrillRecord,
    existing: ReadonlySet<string>,
  ): Promise<void> {
    const volumes = await this.#read();
    const kept = Object.entries(volumes[volume] ?? {}).filter(([id]) => existing.has(id));
    const content = {
      magic: 'farcopy drills',
      version: 1,
      volumes: { ...volumes, [volume]: { ...Object.fromEntries(kept), [point]: record } },
    };
    await this.#files.replace(this.#path, Buffer.from(`${JSON.stringify(content)}\n`));
  }

  async #read(): Promise<Drills> {
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
