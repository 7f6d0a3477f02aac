import { z } from 'zod';
import { FileError, type Files } from '../platform/files.js';

/** What is remembered of a scheduled job over a restart; times in ms since 1970. */
export interface RunRecord {
  /** With another one, nothing was missed. */
  readonly expression: string;
  readonly dealtWith: number;
  readonly lastRun: number | null;
  readonly lastOutcome: string | null;
}

const MAX_BYTES = 1 << 20;
const time = z.number().int().nonnegative();

const schema = z.object({
  magic: z.literal('farcopy schedule'),
  version: z.literal(1),
  jobs: z.record(
    z.string(),
    z.object({
      expression: z.string(),
      dealtWith: time,
      lastRun: time.nullable(),
      lastOutcome: z.string().nullable(),
    }),
  ),
});

/** The records of an appliance's jobs, by name, in one small file. */
export class RunRecords {
  readonly #files: Files;
  readonly #path: string;
  readonly #jobs: Map<string, RunRecord>;
  #writing: Promise<void> = Promise.resolve();

  private constructor(files: Files, path: string, jobs: Map<string, RunRecord>) {
    this.#files = files;
    this.#path = path;
    this.#jobs = jobs;
  }

  /** A file that is absent or cannot be understood counts as empty: nothing is known to have been missed then. */
  static async open(files: Files, path: string): Promise<RunRecords> {
    return new RunRecords(files, path, await read(files, path));
  }

  get(job: string): RunRecord | null {
    return this.#jobs.get(job) ?? null;
  }

  /** Durable when it resolves. Fails with FileError; the record counts in memory all the same. */
  set(job: string, record: RunRecord): Promise<void> {
    this.#jobs.set(job, record);
    const write = this.#writing.then(() => {
      const content = { magic: 'farcopy schedule', version: 1, jobs: Object.fromEntries(this.#jobs) };
      return this.#files.replace(this.#path, Buffer.from(`${JSON.stringify(content)}\n`));
    });
    this.#writing = write.catch(() => undefined);
    return write;
  }
}

async function read(files: Files, path: string): Promise<Map<string, RunRecord>> {
  try {
    const text = Buffer.from(await files.readWhole(path, MAX_BYTES)).toString('utf8');
    return new Map(Object.entries(schema.parse(JSON.parse(text)).jobs));
  } catch (error) {
    if (error instanceof FileError || error instanceof SyntaxError || error instanceof z.ZodError)
      return new Map();
    throw error;
  }
}
