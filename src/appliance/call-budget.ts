import { z } from 'zod';
import { wallTime, type WallTime } from '../../protocol/units.js';
import { FileError, type Files } from '../platform/files.js';

const DAY_MS = 24 * 60 * 60_000;
const MAX_BYTES = 1 << 20;

const schema = z.object({
  magic: z.literal('farcopy calls'),
  version: z.literal(1),
  calls: z.record(z.string(), z.array(z.number().int().nonnegative())),
});

/**
 * When each dialled link was called in the last 24 hours, in one small file, so that neither a restart nor a night of
 * redialling goes past what the operator allows a day. By the wall clock: what lies in its future does not count.
 */
export class CallRecord {
  readonly #files: Files;
  readonly #path: string;
  readonly #calls: Map<string, readonly number[]>;
  #writing: Promise<void> = Promise.resolve();

  private constructor(files: Files, path: string, calls: Map<string, readonly number[]>) {
    this.#files = files;
    this.#path = path;
    this.#calls = calls;
  }

  /** A file that is absent or cannot be understood counts as empty. */
  static async open(files: Files, path: string): Promise<CallRecord> {
    return new CallRecord(files, path, await read(files, path));
  }

  /** The allowance of one link. `perDay` at least 1. */
  budget(link: string, perDay: number): CallBudget {
    return new CallBudget(this, link, perDay);
  }

  /** Ascending. */
  within(link: string, now: WallTime): readonly number[] {
    return (this.#calls.get(link) ?? []).filter((at) => at > now - DAY_MS && at <= now);
  }

  /** Counts at once; a disk that cannot take it costs only the memory of it over a restart. */
  note(link: string, now: WallTime): void {
    this.#calls.set(link, [...this.within(link, now), now]);
    this.#writing = this.#writing
      .then(() => {
        const content = { magic: 'farcopy calls', version: 1, calls: Object.fromEntries(this.#calls) };
        return this.#files.replace(this.#path, Buffer.from(`${JSON.stringify(content)}\n`));
      })
      .catch(() => undefined);
  }

  /** What was noted is on the disk. */
  settled(): Promise<void> {
    return this.#writing;
  }
}

/** How often one link may still be dialled. */
export class CallBudget {
  readonly #record: CallRecord;
  readonly #link: string;
  readonly perDay: number;

  constructor(record: CallRecord, link: string, perDay: number) {
    this.#record = record;
    this.#link = link;
    this.perDay = perDay;
  }

  note(now: WallTime): void {
    this.#record.note(this.#link, now);
  }

  /** When the next call may be made; null: now. */
  closedUntil(now: WallTime): WallTime | null {
    const calls = this.#record.within(this.#link, now);
    const first = calls.at(-this.perDay);
    return first === undefined ? null : wallTime(first + DAY_MS);
  }
}

async function read(files: Files, path: string): Promise<Map<string, readonly number[]>> {
  try {
    const text = Buffer.from(await files.readWhole(path, MAX_BYTES)).toString('utf8');
    return new Map(Object.entries(schema.parse(JSON.parse(text)).calls));
  } catch (error) {
    if (error instanceof FileError || error instanceof SyntaxError || error instanceof z.ZodError)
      return new Map();
    throw error;
  }
}
