import { join } from 'node:path';
import { z } from 'zod';
import type { Files } from '../platform/files.js';
import { VolumeRecords } from './volume-records.js';

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

const record = z.object({
  time: z.string(),
  passed: z.boolean(),
  trouble: z.string().nullable(),
  seconds: z.number().nonnegative(),
});

/** What drills have found, in one small file beside the appliance's state. */
export class DrillRecords {
  /** By the point's id. */
  readonly #records: VolumeRecords<Record<string, DrillRecord>>;

  constructor(files: Files, path: string) {
    this.#records = new VolumeRecords(files, path, {
      magic: 'farcopy drills',
      maxBytes: 16 << 20,
      record: z.record(z.string(), record),
    });
  }

  /** Of one `PRIMARY/VOLUME`, by point. */
  async of(volume: string): Promise<ReadonlyMap<string, DrillRecord>> {
    return new Map(Object.entries((await this.#records.of(volume)) ?? {}));
  }

  /** Durable when it resolves; records of points that are not among `existing` go. Fails with FileError. */
  set(volume: string, point: string, drilled: DrillRecord, existing: ReadonlySet<string>): Promise<void> {
    return this.#records.set(volume, (before) => {
      const kept = Object.entries(before ?? {}).filter(([id]) => existing.has(id));
      return { ...Object.fromEntries(kept), [point]: drilled };
    });
  }
}
