import { join } from 'node:path';
import type { RangeSet } from '../../protocol/ranges.js';
import { type Range } from '../../protocol/ranges.js';
import type { File, Files } from '../platform/files.js';
import type { BlockDigests } from './block-digests.js';
import { clearRange, nextDataFrom } from './sparse-file.js';

/**
 * The far copy itself: a sparse file that equals one state, except between the phase mark and APPLIED. Whatever is
 * written to it is noted in its digests too, in whole blocks, and synced with it.
 */
export class Image {
  readonly #file: File;
  #digests: BlockDigests | null = null;

  private constructor(file: File) {
    this.#file = file;
  }

  static async open(files: Files, folder: string): Promise<Image> {
    return new Image(await files.open(join(folder, 'image'), 'create'));
  }

  /** Of what the image should hold; null: none are kept. */
  get digests(): BlockDigests | null {
    return this.#digests;
  }

  /** Those that can be believed: of every block; null: there are none. */
  get completeDigests(): BlockDigests | null {
    return this.#digests?.isComplete === true ? this.#digests : null;
  }

  /** Takes digests over, to be closed with the image; those before are closed. */
  async keepDigests(digests: BlockDigests | null): Promise<void> {
    const before = this.#digests;
    this.#digests = digests;
    await before?.close();
  }

  size(): Promise<number> {
    return this.#file.size();
  }

  read(into: Uint8Array, position: number): Promise<void> {
    return this.#file.read(into, position);
  }

  async write(from: Uint8Array, position: number): Promise<void> {
    this.#digests?.note(from, position);
    await this.#file.write(from, position);
    if (this.#digests?.isCrowded === true) await this.#digests.flush();
  }

  async sync(): Promise<void> {
    await this.#file.sync();
    await this.#digests?.sync();
  }

  async close(): Promise<void> {
    await this.#digests?.close();
    await this.#file.close();
  }

  /** See `File.nextData`, but nothing of the range before `from`. */
  nextData(from: number): Promise<Range | null> {
    return nextDataFrom(this.#file, from);
  }

  /** Nothing but a hole of `size` bytes, synced. Its digests are another's to replace. */
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
  async clear(range: Range): Promise<void> {
    await this.#digests?.clear(range);
    await clearRange(this.#file, range);
  }

  /** Clears everything of `0 … size-1` that is not in `kept` (bytes). */
  async clearOutside(kept: RangeSet, size: number): Promise<void> {
    for (const gap of kept.gaps(0, size)) await this.clear(gap);
  }
}
