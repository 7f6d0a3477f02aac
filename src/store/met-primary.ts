import { join } from 'node:path';
import { z } from 'zod';
import { FileError, type Files } from '../platform/files.js';
import { openRecord, sealRecord } from './sealed-record.js';
import type { Distrust } from './volume-store.js';

const NAME = 'met.json';
const MAX_BYTES = 4096;
const schema = z.object({
  magic: z.literal('farcopy-met'),
  opening: z
    .string()
    .regex(/^[0-9a-f]{16}$/)
    .nullable(),
  distrust: z
    .object({ since: z.number().int().min(0), why: z.string() })
    .readonly()
    .nullish(),
});

/**
 * What was heard of the primary's volume, in `met.json` beside the copy. Its last opening: by it a primary notices that
 * another line of its volume's history (a restored state folder, a reverted machine, a clone) has written here since.
 * And whether it trusts what it knows of this copy.
 */
export class MetPrimary {
  #opening: string | null = null;
  #distrust: Distrust | null = null;

  constructor(
    readonly files: Files,
    readonly folder: string,
  ) {}

  /** 16 hex digits; null: none was heard of. */
  get opening(): string | null {
    return this.#opening;
  }

  get distrust(): Distrust | null {
    return this.#distrust;
  }

  /** A record that is lost or damaged is as none: then only the states tell. */
  async load(): Promise<void> {
    const path = join(this.folder, NAME);
    try {
      const record = schema.parse(openRecord(await this.files.readWhole(path, MAX_BYTES), path));
      this.#opening = record.opening;
      this.#distrust = record.distrust ?? null;
    } catch (error) {
      if (error instanceof FileError && error.code !== 'not-found') throw error;
    }
  }

  /** Durable when it resolves. The folder must be there. */
  async meet(opening: string): Promise<void> {
    if (opening !== this.#opening) await this.#write(opening, this.#distrust);
  }

  /** None was heard of. Durable when it resolves. The folder must be there. */
  async forgetOpening(): Promise<void> {
    if (this.#opening !== null) await this.#write(null, this.#distrust);
  }

  /** Durable when it resolves. The folder must be there. */
  async setDistrust(distrust: Distrust | null): Promise<void> {
    if (distrust?.why !== this.#distrust?.why) await this.#write(this.#opening, distrust);
  }

  async #write(opening: string | null, distrust: Distrust | null): Promise<void> {
    const record = { magic: 'farcopy-met', opening, ...(distrust !== null && { distrust }) };
    await this.files.replace(join(this.folder, NAME), sealRecord(record));
    this.#opening = opening;
    this.#distrust = distrust;
  }
}
