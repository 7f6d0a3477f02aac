import { SetDigest } from '../../protocol/parcel/set-digest.js';
import { RangeSet } from '../../protocol/ranges.js';
import type { Files } from '../platform/files.js';
import { breathe, SLICE_BYTES } from './block-content.js';
import { layeredRuns, type LayeredPiece } from './layered-runs.js';
import { ParcelFile } from './parcel-file.js';
import { ZERO_SLOT, type RunTable } from './run-table.js';

/** How many block digests go into a set's digest before others have their turn: a few milliseconds. */
const BLOCKS_A_BREATH = 2048;

/** A piece of a set's final content; `placed` pieces are in the image already. */
export interface SetPiece extends LayeredPiece {
  readonly placed: boolean;
}

interface Layer {
  readonly path: string;
  readonly table: RunTable;
  readonly placed: boolean;
}

/**
 * The final content of a set: its decoded parcels in the order of COMMIT, the last one winning. Holds the parcels'
 * tables, and opens a parcel only while the walk over the blocks is inside it.
 */
export class SetContent {
  readonly #open = new Map<number, ParcelFile>();

  private constructor(
    readonly files: Files,
    readonly blockSize: number,
    readonly layers: readonly Layer[],
  ) {}

  static async load(files: Files, blockSize: number, paths: readonly string[]): Promise<SetContent> {
    const layers: Layer[] = [];
    for (const path of paths) {
      const parcel = await ParcelFile.open(files, path);
      await parcel.close();
      layers.push({ path, table: parcel.table, placed: parcel.head.placed });
    }
    return new SetContent(files, blockSize, layers);
  }

  /** Ascending and disjoint. */
  *pieces(): Generator<SetPiece> {
    for (const piece of layeredRuns(this.layers.map((layer) => layer.table))) {
      yield { ...piece, placed: (this.layers[piece.layer] as Layer).placed };
    }
  }

  /** The digest that COMMIT must name. */
  async digest(): Promise<Uint8Array> {
    const digest = new SetDigest();
    let added = 0;
    for (const piece of this.pieces()) {
      if (piece.slot === ZERO_SLOT) {
        digest.addZeroRun(piece.start, piece.count);
        continue;
      }
      const parcel = await this.#parcel(piece);
      for (let i = 0; i < piece.count; i++) {
        digest.addBlock(piece.start + i, parcel.digest(piece.slot + i));
        if (++added % BLOCKS_A_BREATH === 0) await breathe();
      }
    }
    return digest.finish();
  }

  /** The content of a piece that is neither zeros nor placed, in slices: views, not to be written. */
  async *content(piece: SetPiece): AsyncGenerator<{ readonly start: number; readonly bytes: Uint8Array }> {
    const parcel = await this.#parcel(piece);
    const blocksASlice = SLICE_BYTES / this.blockSize;
    for (let done = 0; done < piece.count; done += blocksASlice) {
      const count = Math.min(blocksASlice, piece.count - done);
      yield { start: piece.start + done, bytes: await parcel.read(piece.slot + done, count) };
    }
  }

  /** The content of one block of the set that is not placed; the caller's. */
  async block(index: number): Promise<Uint8Array> {
    for (const { path, table } of this.layers.toReversed()) {
      const run = table.find(index);
      if (run === table.length || table.start(run) > index) continue;
      if (table.slot(run) === ZERO_SLOT) break;
      const parcel = await ParcelFile.open(this.files, path);
      try {
        return Uint8Array.from(await parcel.read(table.slot(run) + index - table.start(run), 1));
      } finally {
        await parcel.close();
      }
    }
    return new Uint8Array(this.blockSize);
  }

  /** Blocks in the set. */
  countBlocks(): number {
    let blocks = 0;
    for (const piece of this.pieces()) blocks += piece.count;
    return blocks;
  }

  /** The byte ranges of the image that the set has something to say of. */
  covered(): RangeSet {
    const covered = new RangeSet();
    for (const { start, count } of this.pieces()) {
      covered.add(start * this.blockSize, (start + count) * this.blockSize);
    }
    return covered;
  }

  async close(): Promise<void> {
    for (const parcel of this.#open.values()) await parcel.close();
    this.#open.clear();
  }

  async #parcel({ layer, start }: LayeredPiece): Promise<ParcelFile> {
    const known = this.#open.get(layer);
    if (known !== undefined) return known;
    for (const [other, parcel] of this.#open) {
      if (parcel.table.endBlock > start) continue;
      this.#open.delete(other);
      await parcel.close();
    }
    const parcel = await ParcelFile.open(this.files, (this.layers[layer] as Layer).path);
    this.#open.set(layer, parcel);
    return parcel;
  }
}
