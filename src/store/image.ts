import { join } from 'node:path';
import type { RangeSet } from '../../protocol/ranges.js';
import { type Range } from '../../protocol/ranges.js';
import type { File, Files } from '../platform/files.js';
import { breathe, SLICE_BYTES, zeros } from './block-content.js';

/** How much is given back to the file system in one call, which blocks. */
const PUNCH_BYTES = 32 << 20;

/** The far copy itself: a sparse file that equals one state, except between the phase mark and APPLIED. */
export class Image {
  readonly #file: File;

  private constructor(file: File) {
    this.#file = file;
  }

  static async open(files: Files, folder: string): Promise<Image> {
    return new Image(await files.open(join(folder, 'image'), 'create'));
  }

  size(): Promise<number> {
    return this.#file.size();
  }

  read(into: Uint8Array, position: number): Promise<void> {
    return this.#file.read(into, position);
  }

  write(from: Uint8Array, position: number): Promise<void> {
    return this.#file.write(from, position);
  }

  sync(): Promise<void> {
    return this.#file.sync();
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  /** See `File.nextData`, but nothing of the range before `from`. */
  async nextData(from: number): Promise<Range | null> {
    const data = await this.#file.nextData(from);
    return data === null ? null : { start: Math.max(from, data.start), end: data.end };
  }

  /** Nothing but a hole of `size` bytes, synced. */
  async reset(size: number): Promise<void> {
    await this.#file.truncate(0);
    await this.#file.truncate(size);
    await this.#file.sync();
  }

  /** Makes the image at least `size` bytes long; the new part reads as zeros. */
  async grow(size: number): Promise<void> {
    if ((await this.#file.size()) < size) await this.#file.truncate(size);
  }

  /** Makes a byte range read as zeros; what is a hole already costs nothing. */
  async clear({ start, end }: Range): Promise<void> {
    for (let at = start; at < end;) {
      const data = await this.nextData(at);
      if (data === null || data.start >= end) return;
      const until = Math.min(data.end, end, data.start + PUNCH_BYTES);
      if (!this.#file.punchSync(data.start, until - data.start)) await this.#writeZeros(data.start, until);
      at = until;
      await breathe();
    }
  }

  /** Clears everything of `0 … size-1` that is not in `kept` (bytes). */
  async clearOutside(kept: RangeSet, size: number): Promise<void> {
    for (const gap of kept.gaps(0, size)) await this.clear(gap);
  }

  async #writeZeros(start: number, end: number): Promise<void> {
    for (let at = start; at < end; at += SLICE_BYTES) {
      await this.#file.write(zeros(Math.min(SLICE_BYTES, end - at)), at);
    }
  }
}
