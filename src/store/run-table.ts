/** The slot of a run that is all zeros and has no data anywhere. */
export const ZERO_SLOT = 0xffff_ffff;

/** Blocks `start … start+count-1`; their data are blocks `slot …` of the holder's data, or zeros (`ZERO_SLOT`). */
export interface BlockRun {
  readonly start: number;
  readonly count: number;
  readonly slot: number;
}

/** Ascending, disjoint runs of blocks, by number. */
export interface Runs {
  readonly length: number;
  start(run: number): number;
  /** The block after the run's last. */
  end(run: number): number;
  /** `ZERO_SLOT`: the run is zeros. */
  slot(run: number): number;
}

/** The first run that ends after `block`: it holds `block`, or is the next one; `length` if there is none. */
export function runEndingAfter(runs: Runs, block: number): number {
  let low = 0;
  let high = runs.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (runs.end(middle) <= block) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** One run in memory and in a file: start, last block, slot, each 32 bits (LE in a file). */
const RUN_WORDS = 3;
export const RUN_BYTES = RUN_WORDS * 4;

/** Ascending, disjoint runs of blocks in 12 bytes of memory each. */
export class RunTable implements Runs {
  readonly #words: Uint32Array;

  private constructor(words: Uint32Array) {
    this.#words = words;
  }

  static of(runs: readonly BlockRun[]): RunTable {
    const words = new Uint32Array(runs.length * RUN_WORDS);
    runs.forEach(({ start, count, slot }, run) => {
      words.set([start, start + count - 1, slot], run * RUN_WORDS);
    });
    return new RunTable(words);
  }

  /** Undoes `encode`; the caller has checked the bytes by their checksum. */
  static decode(bytes: Uint8Array): RunTable {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const words = new Uint32Array(bytes.byteLength / 4);
    for (let i = 0; i < words.length; i++) words[i] = view.getUint32(i * 4, true);
    return new RunTable(words);
  }

  encode(): Uint8Array {
    const bytes = new Uint8Array(this.#words.length * 4);
    const view = new DataView(bytes.buffer);
    this.#words.forEach((word, i) => view.setUint32(i * 4, word, true));
    return bytes;
  }

  get length(): number {
    return this.#words.length / RUN_WORDS;
  }
  start(run: number): number {
    return this.#words[run * RUN_WORDS] as number;
  }
  end(run: number): number {
    return (this.#words[run * RUN_WORDS + 1] as number) + 1;
  }
  slot(run: number): number {
    return this.#words[run * RUN_WORDS + 2] as number;
  }
  /** The block after the last run's last; 0 if there is none. */
  get endBlock(): number {
    return this.length === 0 ? 0 : this.end(this.length - 1);
  }
  get byteLength(): number {
    return this.#words.byteLength;
  }

  /** `runEndingAfter` */
  find(block: number): number {
    return runEndingAfter(this, block);
  }
}

/** Gathers runs in ascending order; those that follow each other, in blocks and in slots, become one. */
export class RunTableBuilder {
  readonly #runs: BlockRun[] = [];

  add(start: number, count: number, slot: number): void {
    const last = this.#runs.at(-1);
    if (last !== undefined && last.start + last.count === start && follows(last, slot)) {
      this.#runs[this.#runs.length - 1] = { ...last, count: last.count + count };
    } else {
      this.#runs.push({ start, count, slot });
    }
  }

  finish(): RunTable {
    return RunTable.of(this.#runs);
  }
}

const follows = (run: BlockRun, slot: number): boolean =>
  run.slot === ZERO_SLOT ? slot === ZERO_SLOT : slot === run.slot + run.count;
