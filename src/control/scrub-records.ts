import { join } from 'node:path';
import { z } from 'zod';
import type { Files } from '../platform/files.js';
import { VolumeRecords } from './volume-records.js';

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

const count = z.int().nonnegative();
const record = z.object({
  time: z.string(),
  passed: z.boolean(),
  seconds: z.number().nonnegative(),
  rottenBlocks: count,
  unknownBlocks: count,
  points: z.record(z.string(), count.nullable()),
});

/** What the last scrub of each volume has found, in one small file beside the appliance's state. */
export class ScrubRecords {
  readonly #records: VolumeRecords<ScrubRecord>;

  constructor(files: Files, path: string) {
    this.#records = new VolumeRecords(files, path, { magic: 'farcopy scrubs', maxBytes: 64 << 20, record });
  }

  /** Of one `PRIMARY/VOLUME`; null: there was none. */
  of(volume: string): Promise<ScrubRecord | null> {
    return this.#records.of(volume);
  }

  /** Durable when it resolves. Fails with FileError. */
  set(volume: string, scrubbed: ScrubRecord): Promise<void> {
    return this.#records.set(volume, () => scrubbed);
  }
}
