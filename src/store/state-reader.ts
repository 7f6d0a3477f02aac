import type { Range } from '../../protocol/ranges.js';
import type { StateInfo } from '../../protocol/state.js';
import type { StateId } from '../../protocol/units.js';
import { fromFileError, StoreError } from './errors.js';
import type { Image } from './image.js';
import type { Increment } from './increment.js';
import type { IncrementShelf } from './increment-shelf.js';
import { ZERO_SLOT } from './run-table.js';
import { SerialQueue } from './serial-queue.js';
import type { StateReader } from './volume-store.js';

/** One step back from the image: the increment `name` leads to the state `older`. */
export interface ChainLink {
  readonly name: string;
  readonly older: StateId;
}

/**
 * The way from the oldest restore point to the image. It only grows at its end, and a link is in it *before* the
 * first block of the image that the link replaces is overwritten. Whoever finds the chain as long after reading the
 * image as it was before has therefore read no overwritten block.
 */
export type IncrementChain = readonly ChainLink[];

interface Source {
  readonly kind: 'zeros' | 'image' | Increment;
  readonly slot: number;
  /** The byte up to which this source answers. */
  readonly until: number;
}

/** Reads one state through the increments from it forward, then the image. */
export class ChainReader implements StateReader {
  readonly #increments: Increment[] = [];
  readonly #catchingUp = new SerialQueue();
  #closed = false;

  constructor(
    readonly state: StateInfo,
    readonly blockSize: number,
    /** The state's place in the chain: its increment, or the end if it is the image's own. */
    readonly first: number,
    readonly chain: IncrementChain,
    readonly image: Image,
    readonly shelf: IncrementShelf,
  ) {}

  async read(into: Uint8Array, position: number): Promise<void> {
    if (!Number.isSafeInteger(position) || position < 0 || position + into.byteLength > this.state.size) {
      throw new RangeError(`bytes ${position} to ${position + into.byteLength} are outside the state`);
    }
    await this.#settled(async (increments) => {
      const end = position + into.byteLength;
      for (let at = position; at < end;) {
        const source = this.#resolve(increments, at, end);
        const part = into.subarray(at - position, source.until - position);
        if (source.kind === 'zeros') part.fill(0);
        else if (source.kind === 'image') await this.image.read(part, at);
        else await this.#readIncrement(source.kind, source.slot, part, at);
        at = source.until;
      }
    });
  }

  nextData(from: number): Promise<Range | null> {
    return this.#settled(async (increments) => {
      for (let at = from; at < this.state.size;) {
        const { kind, until } = this.#resolve(increments, at, this.state.size);
        if (kind === 'image') {
          const data = await this.image.nextData(at);
          if (data !== null && data.start < until)
            return { start: data.start, end: Math.min(data.end, until) };
        } else if (kind !== 'zeros') {
          return { start: at, end: until };
        }
        at = until;
      }
      return null;
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#catchingUp.run(async () => {
      for (let i = 0; i < this.#increments.length; i++) {
        await this.shelf.release((this.chain[this.first + i] as ChainLink).name);
      }
    });
  }

  /** Does `work` again until no apply began to overwrite the image meanwhile. */
  async #settled<T>(work: (increments: readonly Increment[]) => Promise<T>): Promise<T> {
    for (;;) {
      if (this.#closed) throw new StoreError('closed', 'the state is no longer open');
      try {
        await this.#catchingUp.run(() => this.#catchUp());
        const known = this.#increments.length;
        const result = await work(this.#increments.slice());
        if (this.first + known === this.chain.length) return result;
      } catch (cause) {
        throw fromFileError(cause);
      }
    }
  }

  async #catchUp(): Promise<void> {
    for (
      let link = this.chain[this.first + this.#increments.length];
      link !== undefined;
      link = this.chain[this.first + this.#increments.length]
    ) {
      this.#increments.push(await this.shelf.acquire(link.name, link.older));
    }
  }

  /** Which source holds the byte `at`: the oldest increment that has its block, else the image. */
  #resolve(increments: readonly Increment[], at: number, end: number): Source {
    const block = Math.floor(at / this.blockSize);
    let until = end;
    for (const increment of increments) {
      const { table } = increment;
      const run = table.find(block);
      if (run === table.length) continue;
      const start = table.start(run);
      if (start > block) {
        until = Math.min(until, start * this.blockSize);
        continue;
      }
      until = Math.min(until, table.end(run) * this.blockSize);
      const slot = table.slot(run);
      if (slot === ZERO_SLOT) return { kind: 'zeros', slot, until };
      return { kind: increment, slot: slot + block - start, until };
    }
    return { kind: 'image', slot: ZERO_SLOT, until };
  }

  /** Blocks are checked whole, so a part of one is cut from a copy. */
  async #readIncrement(increment: Increment, slot: number, into: Uint8Array, at: number): Promise<void> {
    const before = at % this.blockSize;
    const blocks = Math.ceil((before + into.byteLength) / this.blockSize);
    if (before === 0 && blocks * this.blockSize === into.byteLength) return increment.read(slot, into);
    const whole = new Uint8Array(blocks * this.blockSize);
    await increment.read(slot, whole);
    into.set(whole.subarray(before, before + into.byteLength));
  }
}
