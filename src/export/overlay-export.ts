import { join } from 'node:path';
import type { Range } from '../../protocol/ranges.js';
import type { AllocationExtent, ExportBackend, ExportGeometry } from '../nbd/backend.js';
import type { File, Files } from '../platform/files.js';
import { randomId, type Random } from '../platform/random.js';
import type { StateReader } from '../store/volume-store.js';
import { BlockSet } from './block-set.js';
import { allocationOf, geometryOf, type ExportNames } from './state-export.js';

/** Zeros are written, where holes cannot be made, in parts of this size. */
const ZERO_PART_BYTES = 1 << 20;
/** Holes are made in parts of this size, so that others come in between. */
const HOLE_PART_BYTES = 256 << 20;

/** Where an overlay keeps what is written to it. */
export interface OverlayPlace {
  readonly files: Files;
  readonly random: Random;
  /** Must have the space for what will be written. */
  readonly folder: string;
}

/**
 * A stored state that can be written to, such as a filesystem that replays its journal: the state stays as it is, and
 * what is written goes to a sparse file that has no name any more and is gone with this process.
 *
 * A block is either whole in the overlay or not in it at all; writes go one after the other, reads beside them.
 */
export class OverlayExport implements ExportBackend {
  readonly geometry: ExportGeometry;
  readonly #reader: StateReader;
  readonly #overlay: File;
  readonly #written: BlockSet;
  #lastWrite: Promise<void> = Promise.resolve();

  private constructor(reader: StateReader, names: ExportNames, overlay: File) {
    this.geometry = geometryOf(reader, names, false);
    this.#reader = reader;
    this.#overlay = overlay;
    this.#written = new BlockSet(reader.state.size / reader.blockSize);
  }

  /** The reader stays the caller's to close, after this. */
  static async open(reader: StateReader, names: ExportNames, place: OverlayPlace): Promise<OverlayExport> {
    const { files, random, folder } = place;
    const path = join(folder, `farcopy-overlay-${randomId(random)}`);
    await files.makeFolder(folder);
    const overlay = await files.open(path, 'create-new');
    try {
      await files.remove(path);
      await overlay.truncate(reader.state.size);
    } catch (cause) {
      await overlay.close();
      throw cause;
    }
    return new OverlayExport(reader, names, overlay);
  }

  async read(offset: number, into: Buffer): Promise<void> {
    for (const part of this.#parts({ start: offset, end: offset + into.byteLength })) {
      const bytes = into.subarray(part.start - offset, part.end - offset);
      await (part.written ? this.#overlay.read(bytes, part.start) : this.#reader.read(bytes, part.start));
    }
  }

  write(offset: number, from: Buffer): Promise<void> {
    return this.#inTurn(() => this.#write(offset, from));
  }

  flush(): void {
    // It is thrown away.
  }

  trim(offset: number, length: number): Promise<void> {
    return this.writeZeroes(offset, length);
  }

  writeZeroes(offset: number, length: number): Promise<void> {
    return this.#inTurn(async () => {
      const { blockSize } = this.geometry;
      const end = offset + length;
      const firstWhole = Math.min(end, Math.ceil(offset / blockSize) * blockSize);
      const endWhole = Math.max(firstWhole, Math.floor(end / blockSize) * blockSize);
      await this.#write(offset, Buffer.alloc(firstWhole - offset));
      for (let at = firstWhole; at < endWhole; at += HOLE_PART_BYTES) {
        await this.#makeZero(at, Math.min(endWhole, at + HOLE_PART_BYTES));
      }
      await this.#write(endWhole, Buffer.alloc(end - endWhole));
    });
  }

  cache(): void {
    // The kernel reads ahead by itself.
  }

  async allocation(range: Range, limit: number): Promise<AllocationExtent[]> {
    const extents: AllocationExtent[] = [];
    for (const part of this.#parts(range)) {
      if (extents.length >= limit) break;
      const source = part.written ? this.#overlay : this.#reader;
      extents.push(...(await allocationOf(part, limit - extents.length, (from) => source.nextData(from))));
    }
    return extents;
  }

  /** After the last request; the overlay's space is free then. */
  async close(): Promise<void> {
    await this.#lastWrite;
    await this.#overlay.close();
  }

  async #write(offset: number, from: Buffer): Promise<void> {
    if (from.byteLength === 0) return;
    const { blockSize } = this.geometry;
    const end = offset + from.byteLength;
    const firstBlock = Math.floor(offset / blockSize);
    const endBlock = Math.ceil(end / blockSize);
    if (offset % blockSize !== 0) await this.#bringIn(firstBlock);
    if (end % blockSize !== 0) await this.#bringIn(endBlock - 1);
    await this.#overlay.write(from, offset);
    this.#written.add(firstBlock, endBlock);
  }

  /** A block that is about to be written in part comes into the overlay whole. */
  async #bringIn(block: number): Promise<void> {
    if (this.#written.has(block)) return;
    const { blockSize } = this.geometry;
    const bytes = Buffer.allocUnsafe(blockSize);
    await this.#reader.read(bytes, block * blockSize);
    await this.#overlay.write(bytes, block * blockSize);
    this.#written.add(block, block + 1);
  }

  /** Whole blocks. */
  async #makeZero(start: number, end: number): Promise<void> {
    const { blockSize } = this.geometry;
    if (!this.#overlay.punchSync(start, end - start)) {
      for (let at = start; at < end; at += ZERO_PART_BYTES) {
        await this.#overlay.write(Buffer.alloc(Math.min(ZERO_PART_BYTES, end - at)), at);
      }
    }
    this.#written.add(start / blockSize, end / blockSize);
    await new Promise((resolve) => setImmediate(resolve));
  }

  *#parts({ start, end }: Range): Generator<Range & { readonly written: boolean }> {
    const { blockSize } = this.geometry;
    const endBlock = Math.ceil(end / blockSize);
    for (let at = start; at < end;) {
      const block = Math.floor(at / blockSize);
      const written = this.#written.has(block);
      const until = Math.min(end, this.#written.endOfRun(block, endBlock) * blockSize);
      yield { start: at, end: until, written };
      at = until;
    }
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const result = this.#lastWrite.then(work);
    this.#lastWrite = result.catch(() => undefined);
    return result;
  }
}
