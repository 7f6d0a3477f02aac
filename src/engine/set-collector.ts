import { MAX_PARCEL_RUNS } from '../../protocol/parcel/parcel.js';
import { blockIndex, type BlockIndex, type StateId } from '../../protocol/units.js';
import type { File } from '../platform/files.js';
import { epochsOfSet } from './epoch-list.js';
import type { History } from './history.js';
import { ChangedBlocks, WrittenBlocks, type Candidates } from './set-candidates.js';
import { BLOCK_DATA, BLOCK_UNAVAILABLE, BLOCK_ZERO, StateReader } from './state-reader.js';
import { yieldToLoop } from './turnstile.js';
import type { BlockRun, Collected, CollectRequest, SetBounds, SetPartBounds } from './volume-service.js';

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
    return this.history.readers.run(() => this.#collect(request));
  }

  async #collect(request: CollectRequest): Promise<Collected> {
    const { blockSize } = this.history.surroundings;
    const { candidates, limit, isWhole, to } = this.#walk(request, request.end);
    const reader = new StateReader(this.device, this.history, to);
    const part = new SetPart(blockSize, sinceOf(request) !== null);
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
      const { content, kinds } = await reader.read(at, blocks);
      part.add(at, content, kinds);
      at += blocks;
      room -= blocks;
    }
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

/** A part of a set as it grows. */
class SetPart {
  readonly #runs: { start: BlockIndex; count: number; zero: boolean }[] = [];
  readonly #content: Uint8Array[] = [];
  readonly #unavailable: BlockIndex[] = [];
  contentBlocks = 0;

  constructor(
    readonly blockSize: number,
    readonly keepsZeros: boolean,
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

  add(start: number, content: Buffer, kinds: Uint8Array): void {
    for (let at = 0; at < kinds.length;) {
      const kind = kinds[at];
      let end = at + 1;
      while (end < kinds.length && kinds[end] === kind) end++;
      if (kind === BLOCK_DATA) {
        this.#extend(start + at, end - at, false);
        this.#content.push(content.subarray(at * this.blockSize, end * this.blockSize));
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
      at += piece.byteLength;
    }
    const runs: readonly BlockRun[] = this.#runs;
    return { runs, content, next, unavailable: this.#unavailable };
  }

  #extend(start: number, count: number, zero: boolean): void {
    const last = this.#runs.at(-1);
    if (last !== undefined && last.zero === zero && last.start + last.count === start) last.count += count;
    else this.#runs.push({ start: blockIndex(start), count, zero });
  }
}
