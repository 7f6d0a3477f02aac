import { breathe } from './block-content.js';
import type { ChainLink, IncrementShelf } from './increment-shelf.js';
import { layeredRuns } from './layered-runs.js';
import { runEndingAfter, ZERO_SLOT, type Runs, type RunTable } from './run-table.js';

/** A run in memory: start, last block, slot, number of its increment; each 32 bits. */
const WORDS = 4;
/** How much the tables of increments that are laid together at once may take in memory. */
const TABLE_BYTES_AT_ONCE = 32 << 20;
/** Runs between two turns for others: a few milliseconds. */
const RUNS_A_BREATH = 8192;

/**
 * Where the old blocks of a state are, over any number of increments: for each block the oldest increment that has
 * it, and its slot there. 16 bytes a run, at most one run a block of the volume, whatever the number of increments.
 */
export class ChainIndex implements Runs {
  static empty(): ChainIndex {
    return new ChainIndex(new Uint32Array(0));
  }

  readonly #words: Uint32Array;

  private constructor(words: Uint32Array) {
    this.#words = words;
  }

  /** The index of `links`, oldest first, or of `links` behind those that `known` has (the first `from` of them). */
  static async load(
    shelf: IncrementShelf,
    links: readonly ChainLink[],
    known = ChainIndex.empty(),
    from = 0,
  ): Promise<ChainIndex> {
    let index = known;
    for (let at = from; at < links.length;) {
      const tables: RunTable[] = [];
      for (let bytes = 0; at + tables.length < links.length && bytes < TABLE_BYTES_AT_ONCE;) {
        const link = links[at + tables.length] as ChainLink;
        const table = await shelf.use(link, (increment) => increment.readTable());
        tables.push(table);
        bytes += table.byteLength;
      }
      index = await index.#over(tables, at);
      at += tables.length;
    }
    return index;
  }

  get length(): number {
    return this.#words.length / WORDS;
  }
  start(run: number): number {
    return this.#words[run * WORDS] as number;
  }
  end(run: number): number {
    return (this.#words[run * WORDS + 1] as number) + 1;
  }
  slot(run: number): number {
    return this.#words[run * WORDS + 2] as number;
  }
  /** Which of the links has the run. */
  link(run: number): number {
    return this.#words[run * WORDS + 3] as number;
  }

  /** `runEndingAfter` */
  find(block: number): number {
    return runEndingAfter(this, block);
  }

  /** This index with younger increments, oldest first, laid under it; they are the links `first …`. */
  async #over(tables: readonly RunTable[], first: number): Promise<ChainIndex> {
    const growing = new GrowingWords();
    let runs = 0;
    for (const piece of layeredRuns([...tables.toReversed(), this])) {
      const link =
        piece.layer === tables.length ? this.link(piece.run) : first + tables.length - 1 - piece.layer;
      growing.add(piece.start, piece.count, piece.slot, link);
      if (++runs % RUNS_A_BREATH === 0) await breathe();
    }
    return new ChainIndex(growing.finish());
  }
}

/** Runs in ascending order; those that follow each other, in blocks and in slots, become one. */
class GrowingWords {
  #words = new Uint32Array(64 * WORDS);
  #used = 0;

  add(start: number, count: number, slot: number, link: number): void {
    if (this.#continues(start, slot, link)) {
      this.#words[this.#used - 3] = start + count - 1;
      return;
    }
    if (this.#used === this.#words.length) {
      const larger = new Uint32Array(this.#words.length * 2);
      larger.set(this.#words);
      this.#words = larger;
    }
    this.#words.set([start, start + count - 1, slot, link], this.#used);
    this.#used += WORDS;
  }

  finish(): Uint32Array {
    return this.#words.slice(0, this.#used);
  }

  #continues(start: number, slot: number, link: number): boolean {
    if (this.#used === 0) return false;
    const [first, last, lastSlot, lastLink] = this.#words.subarray(
      this.#used - WORDS,
      this.#used,
    ) as unknown as [number, number, number, number];
    if (last + 1 !== start || lastLink !== link) return false;
    return lastSlot === ZERO_SLOT ? slot === ZERO_SLOT : slot === lastSlot + start - first;
  }
}
