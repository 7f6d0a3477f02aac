import { join } from 'node:path';
import { z } from 'zod';
import { covering, RangeSet, type Range } from '../../protocol/ranges.js';
import { FileError, type Files } from '../platform/files.js';
import { openRecord, sealRecord } from './sealed-record.js';
import type { Suspects } from './volume-store.js';

const NAME = 'suspects.json';
const MAX_BYTES = 1 << 20;
/** Ranges that are kept; more are kept as fewer that cover them. */
const MAX_KEPT = 4096;

const schema = z.object({
  magic: z.literal('farcopy-suspects'),
  since: z.number().int().min(0),
  /** Start and end of each range of blocks. */
  blocks: z.array(z.tuple([z.int().nonnegative(), z.int().nonnegative()])),
});

/**
 * The blocks of an image that a scrub, or a parcel that did not fit, has found not to be what they should be, in
 * `suspects.json` beside it, until they are overwritten or compared. To suspect a block wrongly costs a compare of it.
 */
export class SuspectRecord {
  #blocks = new RangeSet();
  #since = 0;

  constructor(
    readonly files: Files,
    readonly folder: string,
  ) {}

  /** null: nothing is suspect. */
  get suspects(): Suspects | null {
    return this.#blocks.isEmpty ? null : { since: this.#since, blocks: [...this.#blocks.ranges] };
  }

  /** A record that is lost or damaged is as none: the next scrub finds again what it finds. */
  async load(): Promise<void> {
    const path = join(this.folder, NAME);
    try {
      const { since, blocks } = schema.parse(openRecord(await this.files.readWhole(path, MAX_BYTES), path));
      this.#since = since;
      this.#blocks = new RangeSet(blocks.map(([start, end]) => ({ start, end })));
    } catch (error) {
      if (error instanceof FileError && error.code !== 'not-found') throw error;
    }
  }

  /** Durable when it resolves. `now` in ms since 1970. */
  async add(blocks: readonly Range[], now: number): Promise<void> {
    const fresh = blocks.filter(({ start, end }) => !this.#blocks.covers(start, end));
    if (fresh.length === 0) return;
    const since = this.#blocks.isEmpty ? now : this.#since;
    const all = new RangeSet([...this.#blocks.ranges, ...fresh]);
    await this.#replace(new RangeSet(covering(all.ranges, MAX_KEPT)), since);
  }

  /** Durable when it resolves; null: all. */
  async remove(blocks: Iterable<Range> | null): Promise<void> {
    if (this.#blocks.isEmpty) return;
    const left = blocks === null ? new RangeSet() : new RangeSet(this.#blocks.ranges);
    for (const { start, end } of blocks ?? []) left.remove(start, end);
    if (left.size < this.#blocks.size) await this.#replace(left, this.#since);
  }

  async #replace(blocks: RangeSet, since: number): Promise<void> {
    const path = join(this.folder, NAME);
    if (blocks.isEmpty) {
      await this.files.remove(path);
    } else {
      const ranges = blocks.ranges.map(({ start, end }) => [start, end]);
      await this.files.replace(path, sealRecord({ magic: 'farcopy-suspects', since, blocks: ranges }));
    }
    this.#blocks = blocks;
    this.#since = since;
  }
}
