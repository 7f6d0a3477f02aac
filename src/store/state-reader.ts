import type { Range } from '../../protocol/ranges.js';
import type { StateInfo } from '../../protocol/state.js';
import { SerialQueue } from '../platform/serial-queue.js';
import { ChainIndex } from './chain-index.js';
import { fromFileError, RottenBlocks, StoreError } from './errors.js';
import type { Image } from './image.js';
import type { ChainLink, IncrementShelf } from './increment-shelf.js';
import { ZERO_SLOT } from './run-table.js';
import type { StateReader } from './volume-store.js';

interface Source {
  readonly kind: 'zeros' | 'image' | ChainLink;
  readonly slot: number;
  /** The byte up to which this source answers. */
  readonly until: number;
}

/**
 * Reads one state through the increments from it forward, then the image. Its links only grow at their end, and a
 * link is there *before* the first block of the image that the link replaces is overwritten. Whoever finds as many
 * links after reading the image as there were before has therefore read no overwritten block.
 */
export class ChainReader implements StateReader {
  readonly #links: ChainLink[];
  readonly #catchingUp = new SerialQueue();
  #index = ChainIndex.empty();
  /** How many of the links the index has. */
  #indexed = 0;
  #closed = false;

  /** Pins its increments until it is closed. */
  constructor(
    readonly state: StateInfo,
    readonly blockSize: number,
    /** The way from the state to the image, oldest first. */
    links: readonly ChainLink[],
    readonly image: Image,
    readonly shelf: IncrementShelf,
    /** What is read in the image is held against its digests, where there are any. */
    readonly isChecked: boolean,
  ) {
    this.#links = [...links];
    for (const { name } of links) shelf.pin(name);
  }

  /** The image is about to be overwritten; `link` leads back to what it was. */
  extend(link: ChainLink): void {
    this.#links.push(link);
    this.shelf.pin(link.name);
  }

  async read(into: Uint8Array, position: number): Promise<void> {
    if (!Number.isSafeInteger(position) || position < 0 || position + into.byteLength > this.state.size) {
      throw new RangeError(`bytes ${position} to ${position + into.byteLength} are outside the state`);
    }
    await this.#settled(async (index) => {
      const end = position + into.byteLength;
      for (let at = position; at < end;) {
        const source = this.#resolve(index, at, end);
        const part = into.subarray(at - position, source.until - position);
        if (source.kind === 'zeros') part.fill(0);
        else if (source.kind === 'image') await this.#readImage(part, at);
        else await this.#readIncrement(source.kind, source.slot, part, at);
        at = source.until;
      }
    });
  }

  nextData(from: number): Promise<Range | null> {
    return this.#settled(async (index) => {
      for (let at = from; at < this.state.size;) {
        const { kind, until } = this.#resolve(index, at, this.state.size);
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
      for (const { name } of this.#links) await this.shelf.unpin(name);
    });
  }

  /**
   * Does `work` again until no apply began to overwrite the image meanwhile; what seems rotten may be of the next state
   * already.
   */
  async #settled<T>(work: (index: ChainIndex) => Promise<T>): Promise<T> {
    for (;;) {
      if (this.#closed) throw new StoreError('closed', 'the state is no longer open');
      let known = this.#links.length;
      try {
        await this.#catchingUp.run(() => this.#catchUp());
        known = this.#indexed;
        const result = await work(this.#index);
        if (known === this.#links.length) return result;
      } catch (cause) {
        if (cause instanceof RottenBlocks && known !== this.#links.length) continue;
        throw fromFileError(cause);
      }
    }
  }

  async #catchUp(): Promise<void> {
    while (this.#indexed < this.#links.length) {
      const links = this.#links.slice();
      this.#index = await ChainIndex.load(this.shelf, links, this.#index, this.#indexed);
      this.#indexed = links.length;
    }
  }

  /** Which source holds the byte `at`: the oldest increment that has its block, else the image. */
  #resolve(index: ChainIndex, at: number, end: number): Source {
    const block = Math.floor(at / this.blockSize);
    const run = index.find(block);
    if (run === index.length) return { kind: 'image', slot: ZERO_SLOT, until: end };
    const start = index.start(run);
    if (start > block) {
      return { kind: 'image', slot: ZERO_SLOT, until: Math.min(end, start * this.blockSize) };
    }
    const until = Math.min(end, index.end(run) * this.blockSize);
    const slot = index.slot(run);
    if (slot === ZERO_SLOT) return { kind: 'zeros', slot, until };
    return { kind: this.#links[index.link(run)] as ChainLink, slot: slot + block - start, until };
  }

  #readIncrement(link: ChainLink, slot: number, into: Uint8Array, at: number): Promise<void> {
    return this.shelf.use(link, (increment) =>
      this.#readWhole(into, at, (whole) => increment.read(slot, whole)),
    );
  }

  async #readImage(into: Uint8Array, at: number): Promise<void> {
    const digests = this.isChecked ? this.image.completeDigests : null;
    if (digests === null) return this.image.read(into, at);
    await this.#readWhole(into, at, async (whole, first) => {
      await this.image.read(whole, first * this.blockSize);
      const rotten = (await digests.check(first, whole)).find(({ kind }) => kind === 'rotten');
      if (rotten !== undefined)
        throw new RottenBlocks(`block ${rotten.block} of the copy is not what it should be`);
    });
  }

  /** Blocks are checked whole, so a part of one is cut from a copy; also of one that fails. */
  async #readWhole(
    into: Uint8Array,
    at: number,
    read: (whole: Uint8Array, first: number) => Promise<void>,
  ): Promise<void> {
    const first = Math.floor(at / this.blockSize);
    const before = at - first * this.blockSize;
    const blocks = Math.ceil((before + into.byteLength) / this.blockSize);
    if (blocks * this.blockSize === into.byteLength) return read(into, first);
    const whole = new Uint8Array(blocks * this.blockSize);
    try {
      await read(whole, first);
    } finally {
      into.set(whole.subarray(before, before + into.byteLength));
    }
  }
}
