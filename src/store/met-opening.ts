import { join } from 'node:path';
import { z } from 'zod';
import { FileError, type Files } from '../platform/files.js';
import { openRecord, sealRecord } from './sealed-record.js';

const NAME = 'met.json';
const MAX_BYTES = 4096;
const schema = z.object({ magic: z.literal('farcopy-met'), opening: z.string().regex(/^[0-9a-f]{16}$/) });

/**
 * Which opening of the primary's volume was last heard of, in `met.json` beside the copy: by it a primary notices that
 * another line of its volume's history (a restored state folder, a reverted machine, a clone) has written here since.
 */
export class MetOpening {
  #opening: string | null = null;

  constructor(
    readonly files: Files,
    readonly folder: string,
  ) {}

  /** 16 hex digits; null: none was heard of. */
  get opening(): string | null {
    return this.#opening;
  }

  /** A record that is lost or damaged is as none: then only the states tell. */
  async load(): Promise<void> {
    const path = join(this.folder, NAME);
    try {
      this.#opening = schema.parse(openRecord(await this.files.readWhole(path, MAX_BYTES), path)).opening;
    } catch (error) {
      if (error instanceof FileError && error.code !== 'not-found') throw error;
    }
  }

  /** Durable when it resolves. The folder must be there. */
  async meet(opening: string): Promise<void> {
    if (opening === this.#opening) return;
    await this.files.replace(join(this.folder, NAME), sealRecord({ magic: 'farcopy-met', opening }));
    this.#opening = opening;
  }
}
