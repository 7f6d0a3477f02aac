import { promisify } from 'node:util';
import { brotliCompress, constants } from 'node:zlib';
import { writeFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { must } from '../../support/program.js';
import type { ChangedRun, ImageFile } from './image-file.js';

/** The changed blocks on their own, as a tracker of blocks without a delta would send them. */
export interface ChangedContent {
  readonly raw: number;
  /** null: not measured; so `brotli`. */
  readonly zstd: number | null;
  readonly brotli: number | null;
}

/** Content of the runs that are not zeros, one after the other. */
async function contentOf(runs: readonly ChangedRun[], image: ImageFile, blockSize: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (const { start, count, zero } of runs) {
    if (!zero) parts.push(Buffer.from(await image.read(start * blockSize, count * blockSize)));
  }
  return Buffer.concat(parts);
}

/** `scratch` is an empty folder. */
export async function measureContent(
  runs: readonly ChangedRun[],
  image: ImageFile,
  blockSize: number,
  scratch: string,
  hasZstd: boolean,
): Promise<ChangedContent> {
  const content = await contentOf(runs, image, blockSize);
  const brotli = await promisify(brotliCompress)(content, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: 11,
      [constants.BROTLI_PARAM_LGWIN]: 24,
      [constants.BROTLI_PARAM_SIZE_HINT]: content.byteLength,
    },
  });
  let zstd: number | null = null;
  if (hasZstd) {
    const file = join(scratch, 'content');
    await writeFile(file, content);
    await must('zstd', ['-q', '-19', '--long=27', file, '-o', `${file}.zst`], { timeoutMs: 3_600_000 });
    zstd = (await stat(`${file}.zst`)).size;
  }
  return { raw: content.byteLength, zstd, brotli: brotli.byteLength };
}
