import type { Range } from '../../protocol/ranges.js';
import { Bitmap } from './bitmap.js';
import { HotGrowth } from './hot-growth.js';
import type { HotLog } from './hot-log.js';

/** Bytes of the device that count as one where it is remembered what was written; at least a block. */
export const HOT_UNIT_BYTES = 1 << 20;
/** Entries of a log: 64 KiB of file. */
export const HOT_SLOTS = 4096;
/** How much of the log may be used before the entries are to be cooled down. */
const CROWDED = 1 / 2;
/** How much of the log may be used once large entries have given way to small ones. */
const NARROWED = 3 / 8;
/** How often what was written while the small entries were being synced is looked for, before large ones stay. */
const NARROWING_ROUNDS = 8;

export interface HotGeometry {
  readonly sizeBytes: number;
  readonly unitBytes: number;
  readonly slots: number;
}

/** A range of units in the log. */
interface Entry extends Range {
  readonly slot: number;
}

/** Asked for, and not surely on disk yet. */
interface Pending extends Range {
  readonly done: Promise<void>;
}

/** Writes under way on a part of the device; `release` when they have been issued. */
export interface Hold {
  release(): void;
}

/** What was hot when a sync of everything began. */
export interface Cooling {
  readonly entries: readonly Entry[];
  readonly withoutLog: boolean;
}

/**
 * The hot extents of a device (DESIGN section 2, durability 4): the parts that may hold writes which are not surely on
 * disk, or whose marks are not. A part is hot when an entry for it is on disk, synced; only then may it be written.
 * Entries go when a sync of data, marks and before-images that began after their last write has ended: `beginCooling`,
 * the syncs, `endCooling`.
 *
 * A part that is written all the time costs one look at a bitmap a write. When the log cannot be written, everything
 * counts as hot from then on, `onBroken` is asked to make that known, and nobody waits; `mend` begins a new log.
 */
export class HotExtents {
  readonly #hot: Bitmap;
  /** Of the hot units, those written since cooling last began. */
  readonly #fresh: Bitmap;
  readonly #entries = new Set<Entry>();
  readonly #pending = new Set<Pending>();
  readonly #holds = new Set<Range>();
  readonly #growth: HotGrowth;
  #log: HotLog | null;

  constructor(
    readonly geometry: HotGeometry,
    /** null: broken from the start. */
    log: HotLog | null,
    /** The log cannot be written. What waits goes on when it has resolved. */
    readonly onBroken: (error: unknown) => Promise<void>,
    /** There is something to cool now, or (true) much. */
    readonly onHeated: (isCrowded: boolean) => void,
  ) {
    const units = Math.ceil(geometry.sizeBytes / geometry.unitBytes);
    this.#hot = new Bitmap(units);
    this.#fresh = new Bitmap(units);
    this.#growth = new HotGrowth(units, geometry.slots);
    this.#log = log;
  }

  get isBroken(): boolean {
    return this.#log === null;
  }

  get isEmpty(): boolean {
    return this.#hot.count === 0;
  }

  /** Entries in the log. */
  get entries(): number {
    return this.#entries.size;
  }

  /** What may not be on disk as it should be: ascending ranges of bytes. */
  ranges(): Range[] {
    return this.#runs(this.#hot).map((units) => this.#bytesOf(units));
  }

  /** May bytes be written now, within this tick. Then they count as written. */
  touch(offset: number, length: number): boolean {
    const { unitBytes } = this.geometry;
    const first = Math.floor(offset / unitBytes);
    const last = Math.floor((offset + length - 1) / unitBytes);
    if (first === last ? this.#fresh.has(first) : this.#fresh.covers(first, last + 1)) return true;
    if (this.#log === null) this.#hot.add(first, last + 1);
    else if (!this.#hot.covers(first, last + 1)) return false;
    this.#fresh.add(first, last + 1);
    this.onHeated(false);
    return true;
  }

  /** Resolves when bytes may be written; they stay hot until the hold is released, and what was written is synced. */
  async hold(offset: number, length: number): Promise<Hold> {
    while (!this.touch(offset, length)) await this.#heat(offset, length);
    const held = this.#unitsOf(offset, length);
    this.#holds.add(held);
    return { release: () => this.#holds.delete(held) };
  }

  /** A sync of device, marks and before-images is about to begin. */
  beginCooling(): Cooling {
    this.#fresh.clear();
    for (const { start, end } of this.#holds) this.#fresh.add(start, end);
    return { entries: [...this.#entries], withoutLog: this.#log === null };
  }

  /** That sync has ended well: what was not written since it began is not hot any more. */
  async endCooling({ entries, withoutLog }: Cooling): Promise<void> {
    this.#growth.cooled();
    if (this.#log === null) {
      if (withoutLog) this.#forgetCold();
      return;
    }
    for (const entry of entries) {
      const isWritten = this.#fresh.nextSet(entry.start, entry.end) < entry.end;
      if (!isWritten && this.#entries.has(entry)) this.#erase(entry);
    }
    // In the same tick: from now on a write there must wait for an entry.
    this.#forgetCold();
    await this.#narrow(entries);
  }

  /** Begins a new log with what is hot. Rejects with FileError, and is broken as before then. */
  async mend(create: (entries: readonly Range[]) => Promise<HotLog>): Promise<void> {
    if (this.#log !== null) return;
    const known = this.#growth.cut(this.#runs(this.#hot), 0);
    const log = await create(known);
    const entries = new Set(known.map((units, slot): Entry => ({ ...units, slot })));
    const covered = new Bitmap(this.#hot.length);
    for (const { start, end } of known) covered.add(start, end);
    try {
      for (;;) {
        // What was written meanwhile; when nothing was, the log is taken up in the same tick.
        const rest = this.#missing(this.#runs(this.#hot), covered);
        if (rest.length === 0) break;
        for (const units of this.#growth.cut(rest, entries.size)) {
          entries.add({ ...units, slot: log.write(units) });
          covered.add(units.start, units.end);
        }
        await log.sync();
      }
    } catch (error) {
      await log.close().catch(() => undefined);
      throw error;
    }
    this.#log = log;
    for (const entry of entries) this.#admit(entry);
  }

  async close(): Promise<void> {
    await this.#log?.close();
  }

  /** Makes a part hot: entries for what is not, and a sync that whoever comes meanwhile shares. */
  async #heat(offset: number, length: number): Promise<void> {
    const wanted = this.#unitsOf(offset, length);
    const asked = new Bitmap(this.#hot.length);
    const waits: Promise<void>[] = [];
    for (const pending of this.#pending) {
      if (pending.start >= wanted.end || wanted.start >= pending.end) continue;
      asked.add(pending.start, pending.end);
      waits.push(pending.done);
    }
    for (const { start, end } of this.#missing(this.#missing([wanted], this.#hot), asked)) {
      const from = asked.nextClear(start, end);
      if (from >= end) continue;
      const used = this.#entries.size + this.#pending.size;
      const units = this.#growth.extent({ start: from, end }, used, this.#before(from));
      asked.add(units.start, units.end);
      waits.push(this.#ask(units));
    }
    await Promise.all(waits);
  }

  /** The largest entry, on disk or asked for, that ends where a unit begins. */
  #before(unit: number): Range | null {
    let before: Range | null = null;
    for (const ranges of [this.#entries, this.#pending]) {
      for (const range of ranges) {
        if (range.end === unit && (before === null || range.start < before.start)) before = range;
      }
    }
    return before;
  }

  #ask(units: Range): Promise<void> {
    const pending: Pending = {
      ...units,
      done: this.#enter(units).finally(() => this.#pending.delete(pending)),
    };
    this.#pending.add(pending);
    return pending.done;
  }

  async #enter(units: Range): Promise<void> {
    const log = this.#log;
    if (log === null) return;
    try {
      const slot = log.write(units);
      await log.sync();
      if (log !== this.#log) return;
      this.#admit({ ...units, slot });
      this.onHeated(this.#entries.size >= this.geometry.slots * CROWDED);
    } catch (error) {
      await this.#break(log, error);
    }
  }

  async #break(log: HotLog, error: unknown): Promise<void> {
    if (this.#log === log) {
      this.#log = null;
      this.#entries.clear();
      await log.close().catch(() => undefined);
    }
    await this.onBroken(error);
  }

  /** An entry is on disk: those that lie in it are not needed any more. */
  #admit(entry: Entry): void {
    for (const other of this.#entries) {
      if (other.start >= entry.start && other.end <= entry.end) this.#erase(other);
    }
    this.#entries.add(entry);
    this.#hot.add(entry.start, entry.end);
    this.#fresh.add(entry.start, entry.end);
  }

  #erase(entry: Entry): void {
    try {
      this.#log?.erase(entry.slot);
    } catch {
      // Then it stays in the file, and its slot is not used again.
    }
    this.#entries.delete(entry);
  }

  /**
   * Large entries in which little was written since the sync began give way to an entry for each run of what was, which
   * is on disk first; what is written meanwhile is still covered by the large ones.
   */
  async #narrow(entries: readonly Entry[]): Promise<void> {
    const narrowed = this.#narrowable(entries);
    for (let round = 0; narrowed.size > 0 && round < NARROWING_ROUNDS; round++) {
      if (this.#log === null) return;
      const others = new Bitmap(this.#hot.length);
      for (const other of this.#entries) if (!narrowed.has(other)) others.add(other.start, other.end);
      const rest = [...narrowed].flatMap((entry) => this.#missing(this.#runs(this.#fresh, entry), others));
      if (rest.length === 0) {
        // In the same tick: from now on a write to the rest must wait for an entry.
        for (const entry of narrowed) if (this.#entries.has(entry)) this.#erase(entry);
        this.#forgetCold();
        return;
      }
      if (this.#entries.size + rest.length >= this.geometry.slots * CROWDED) return;
      await Promise.all(rest.map((units) => this.#ask(units)));
    }
  }

  /** The entries of which little was written, as many as the log has room for what was. */
  #narrowable(entries: readonly Entry[]): Set<Entry> {
    const candidates: { readonly entry: Entry; readonly runs: number }[] = [];
    for (const entry of entries) {
      if (!this.#entries.has(entry) || this.#fresh.covers(entry.start, entry.end)) continue;
      candidates.push({ entry, runs: this.#runs(this.#fresh, entry).length });
    }
    candidates.sort((a, b) => a.runs - b.runs);
    let used = this.#entries.size;
    const fitting = candidates.filter(({ runs }) => (used += runs) <= this.geometry.slots * NARROWED);
    return new Set(fitting.map(({ entry }) => entry));
  }

  /** Only what has an entry is hot; without a log, what was written since cooling began. */
  #forgetCold(): void {
    const kept = this.#log === null ? this.#runs(this.#fresh) : [...this.#entries];
    this.#hot.clear();
    for (const { start, end } of kept) this.#hot.add(start, end);
  }

  /** Of ranges of units, what is not in a set. */
  #missing(ranges: readonly Range[], from: Bitmap): Range[] {
    const missing: Range[] = [];
    for (const { start, end } of ranges) {
      for (let at = from.nextClear(start, end); at < end;) {
        const until = from.nextSet(at, end);
        missing.push({ start: at, end: until });
        at = from.nextClear(until, end);
      }
    }
    return missing;
  }

  #runs(of: Bitmap, within: Range = { start: 0, end: of.length }): Range[] {
    const runs: Range[] = [];
    for (let at = of.nextSet(within.start, within.end); at < within.end;) {
      const end = of.nextClear(at, within.end);
      runs.push({ start: at, end });
      at = of.nextSet(end, within.end);
    }
    return runs;
  }

  #unitsOf(offset: number, length: number): Range {
    const { unitBytes } = this.geometry;
    return { start: Math.floor(offset / unitBytes), end: Math.ceil((offset + length) / unitBytes) };
  }

  #bytesOf({ start, end }: Range): Range {
    const { unitBytes, sizeBytes } = this.geometry;
    return { start: start * unitBytes, end: Math.min(sizeBytes, end * unitBytes) };
  }
}
