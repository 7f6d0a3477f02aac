import { MAX_PARCEL_RUNS } from '../../protocol/parcel/parcel.js';
import { blockIndex, type BlockIndex, type StateId } from '../../protocol/units.js';
import type { File } from '../platform/files.js';
import { BaseReader, takeKnown } from './base-reader.js';
import { epochsOfSet } from './epoch-list.js';
import type { History } from './history.js';
import { ChangedBlocks, WrittenBlocks, type Candidates } from './set-candidates.js';
import type { Needs } from './needs.js';
import { BLOCK_DATA, BLOCK_UNAVAILABLE, BLOCK_ZERO, StateReader, type StateBlocks } from './state-reader.js';
import { yieldToLoop } from './yield-to-loop.js';
import type {
  BaseBlocks,
  BlockRun,
  Collected,
  CollectRequest,
  SetBounds,
  SetPartBounds,
} from './volume-service.js';

/** Bytes read at a time; NBD requests come in between. */
const STEP_BYTES = 256 << 10;
/** Bytes looked at in one call at the most, so that a walk over zeros comes up for air. */
const MAX_LOOKED_AT = 256 << 20;
/** Unavailable blocks told in one call; one is enough to give a set up. */
const MAX_UNAVAILABLE = 256;

/** Counts and gathers change sets: the union of the epochs' maps, each block as it was at the set's state. */
export class SetCollector {
  constructor(
    readonly device: File,
    readonly history: History,
    readonly needs: Needs,
  ) {}

  /** Fails with `unknown-state`. Of a whole volume: the blocks that are not known to be zeros. */
  count(set: SetPartBounds): Promise<number> {
    return this.history.readers.run(async () => {
      const walk = this.#walk(set, set.within?.end);
      let count = 0;
      let steps = 0;
      for (let at = set.within?.start ?? 0; ;) {
        const run = await walk.candidates.next(at, walk.limit);
        if (run === null) return count;
        // Of a set in which all counts as changed, the holes travel too, as zeros.
        count += run.end - run.start + (walk.isWhole && sinceOf(set) !== null ? run.start - at : 0);
        at = run.end;
        if (++steps % 1024 === 0) await yieldToLoop();
      }
    });
  }

  /** The next part of a set (`VolumeService.collect`). Fails with `unknown-state`, or FileError of the device. */
  collect(request: CollectRequest): Promise<Collected> {
    return this.history.readers.run(async () => {
      const part = await this.#collect(request);
      return this.needs.isGivenUp(request.to) ? { ...part, isGivenUp: true } : part;
    });
  }

  async #collect(request: CollectRequest): Promise<Collected> {
    const { blockSize } = this.history.surroundings;
    const { candidates, limit, isWhole, to } = this.#walk(request, request.end);
    const reader = new StateReader(this.device, this.history, to);
    const { before, told } = this.#bases(request, isWhole);
    const part = new SetPart(blockSize, sinceOf(request) !== null, request.from !== null);
    const contentBlocks = Math.max(1, Math.floor(request.maxContentBytes / blockSize));
    const stepBlocks = Math.max(1, Math.floor(STEP_BYTES / blockSize));
    let room = Math.floor(MAX_LOOKED_AT / blockSize);
    for (let at: number = request.cursor; ;) {
      const run = await candidates.next(at, limit);
      if (isWhole) part.addZeros(at, (run?.start ?? limit) - at);
      if (run === null) return part.finish(null);
      at = run.start;
      const blocks = Math.min(run.end - at, stepBlocks, contentBlocks - part.contentBlocks, room);
      if (blocks <= 0 || part.isFull) return part.finish(blockIndex(at));
      const now = await reader.read(at, blocks);
      const old = (await before?.read(at, blocks)) ?? null;
      const held = told === before ? old : ((await told?.read(at, blocks)) ?? null);
      if (held !== null) leaveOutUnchanged(now, held, blockSize);
      part.add(at, now, old);
      at += blocks;
      room -= blocks;
    }
  }

  /**
   * The state that the far copy's image is at, for what blocks held before, and the one that the blocks asked for are
   * held at. null: that is not known of any block.
   */
  #bases(
    { from, since, by }: CollectRequest,
    isWhole: boolean,
  ): { readonly before: BaseReader | null; readonly told: BaseReader | null } {
    if (isWhole) return { before: null, told: null };
    const reader = (state: StateId): BaseReader =>
      new BaseReader(this.device, this.history, { state, ...(by !== undefined && { by }) });
    const before = from === null ? null : reader(from);
    return { before, told: since === undefined ? before : reader(since) };
  }

  #walk(
    set: SetBounds,
    end = Infinity,
  ): { candidates: Candidates; limit: number; isWhole: boolean; to: number } {
    const { blockSize } = this.history.surroundings;
    const bounds = { ...set, from: sinceOf(set) };
    const { from, compared, to, toState } = epochsOfSet(this.history.record, bounds);
    const maps = from === null ? [] : this.history.between(from, to).map((epoch) => epoch.map);
    if (compared !== null) maps.push(this.history.compared(compared));
    const isWhole = from === null || maps.some((map) => map.all);
    const candidates = isWhole
      ? new WrittenBlocks(this.device, blockSize, () => this.history.since(to).map((epoch) => epoch.map))
      : new ChangedBlocks(maps);
    return { candidates, limit: Math.min(end, toState.size / blockSize), isWhole, to };
  }
}

/** The state from which on changes are looked for. */
const sinceOf = ({ from, since }: SetBounds): StateId | null => since ?? from;

/** A block of a set that needs not travel: it is as it was. */
const LEFT_OUT = 3;

/** Marks what is in `now` as it is `held`, which is certain wherever that is available. */
function leaveOutUnchanged(now: StateBlocks, held: StateBlocks, blockSize: number): void {
  for (let i = 0; i < now.kinds.length; i++) {
    const kind = now.kinds[i];
    if (kind === BLOCK_UNAVAILABLE || kind !== held.kinds[i]) continue;
    const [start, end] = [i * blockSize, (i + 1) * blockSize];
    if (kind === BLOCK_DATA && now.content.compare(held.content, start, end, start, end) !== 0) continue;
    now.kinds[i] = LEFT_OUT;
  }
}

/** A part of a set as it grows. */
class SetPart {
  readonly #runs: { start: BlockIndex; count: number; zero: boolean }[] = [];
  readonly #content: Uint8Array[] = [];
  /** As `#content`: what those blocks held before. */
  readonly #before: { readonly content: Uint8Array; readonly kinds: Uint8Array | null }[] = [];
  readonly #unavailable: BlockIndex[] = [];
  contentBlocks = 0;

  constructor(
    readonly blockSize: number,
    readonly keepsZeros: boolean,
    readonly hasBefore: boolean,
  ) {}

  /** Another step might pass what one answer may hold. */
  get isFull(): boolean {
    const stepBlocks = Math.max(1, Math.floor(STEP_BYTES / this.blockSize));
    return (
      this.#runs.length + stepBlocks + 1 >= MAX_PARCEL_RUNS || this.#unavailable.length >= MAX_UNAVAILABLE
    );
  }

  addZeros(start: number, count: number): void {
    if (this.keepsZeros && count > 0) this.#extend(start, count, true);
  }

  /** `before` null: not known of any of the blocks. */
  add(start: number, { content, kinds }: StateBlocks, before: StateBlocks | null): void {
    for (let at = 0; at < kinds.length;) {
      const kind = kinds[at];
      let end = at + 1;
      while (end < kinds.length && kinds[end] === kind) end++;
      if (kind === BLOCK_DATA) {
        const slice = (of: Uint8Array): Uint8Array => of.subarray(at * this.blockSize, end * this.blockSize);
        this.#extend(start + at, end - at, false);
        this.#content.push(slice(content));
        this.#before.push({
          content: slice(before?.content ?? content),
          kinds: before?.kinds.subarray(at, end) ?? null,
        });
        this.contentBlocks += end - at;
      } else if (kind === BLOCK_ZERO) {
        this.addZeros(start + at, end - at);
      } else if (kind === BLOCK_UNAVAILABLE) {
        for (let i = at; i < end; i++) this.#unavailable.push(blockIndex(start + i));
      }
      at = end;
    }
  }

  finish(next: BlockIndex | null): Collected {
    const content = new Uint8Array(this.contentBlocks * this.blockSize);
    let at = 0;
    for (const piece of this.#content) {
      content.set(piece, at);
      at += piece.length;
    }
    const runs: readonly BlockRun[] = this.#runs;
    const before = this.hasBefore ? this.#finishBefore() : null;
    return { runs, content, before, next, unavailable: this.#unavailable };
  }

  #finishBefore(): BaseBlocks {
    const before = {
      content: new Uint8Array(this.contentBlocks * this.blockSize),
      known: new Uint8Array(this.contentBlocks),
    };
    let slot = 0;
    for (const { content, kinds } of this.#before) {
      const blocks = content.length / this.blockSize;
      if (kinds !== null) takeKnown({ content, kinds }, before, slot, this.blockSize);
      slot += blocks;
    }
    return before;
  }

  #extend(start: number, count: number, zero: boolean): void {
    const last = this.#runs.at(-1);
    if (last !== undefined && last.zero === zero && last.start + last.count === start) last.count += count;
    else this.#runs.push({ start: blockIndex(start), count, zero });
  }
}
