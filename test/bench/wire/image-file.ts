import { constants, copyFile, open, type FileHandle } from 'node:fs/promises';
import { must } from '../../support/program.js';
import type { BlockSource } from './far-copy.js';

/** An image opened for reading. */
export class ImageFile implements BlockSource {
  #buffer = Buffer.alloc(1 << 20);

  private constructor(
    readonly path: string,
    readonly size: number,
    readonly handle: FileHandle,
  ) {}

  static async open(path: string): Promise<ImageFile> {
    const handle = await open(path, 'r');
    return new ImageFile(path, (await handle.stat()).size, handle);
  }

  async read(offset: number, length: number): Promise<Buffer> {
    if (this.#buffer.byteLength < length) this.#buffer = Buffer.alloc(length);
    const into = this.#buffer.subarray(0, length);
    for (let done = 0; done < length;) {
      const { bytesRead } = await this.handle.read(into, done, length - done, offset + done);
      if (bytesRead === 0) throw new Error(`${this.path} ends at ${offset + done}`);
      done += bytesRead;
    }
    return into;
  }

  close(): Promise<void> {
    return this.handle.close();
  }
}

/** Blocks that follow each other and differ between two images. */
export interface ChangedRun {
  readonly start: number;
  readonly count: number;
  /** Zeros in the newer image. */
  readonly zero: boolean;
}

/** Ascending runs of the blocks in which two images of one size differ. */
export async function changedRuns(
  before: ImageFile,
  after: ImageFile,
  blockSize: number,
): Promise<readonly ChangedRun[]> {
  if (before.size !== after.size) throw new Error('the images differ in size');
  const runs: { start: number; count: number; zero: boolean }[] = [];
  const zeros = Buffer.alloc(blockSize);
  const stride = Math.max(blockSize, 1 << 20);
  for (let at = 0; at < after.size; at += stride) {
    const length = Math.min(stride, after.size - at);
    const [old, now] = [await before.read(at, length), await after.read(at, length)];
    if (Buffer.compare(old, now) === 0) continue;
    for (let offset = 0; offset < length; offset += blockSize) {
      const block = now.subarray(offset, offset + blockSize);
      if (Buffer.compare(old.subarray(offset, offset + blockSize), block) === 0) continue;
      const index = (at + offset) / blockSize;
      const zero = Buffer.compare(block, zeros) === 0;
      const last = runs.at(-1);
      if (last?.zero === zero && last.start + last.count === index) last.count++;
      else runs.push({ start: index, count: 1, zero });
    }
  }
  return runs;
}

/** A copy that shares the original's space where the file system can, and keeps its holes. */
export async function copyImage(from: string, to: string): Promise<void> {
  try {
    await copyFile(from, to, constants.COPYFILE_FICLONE_FORCE);
  } catch {
    await must('cp', ['--sparse=always', from, to], { timeoutMs: 600_000 });
  }
}
