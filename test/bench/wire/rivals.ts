import { mkdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { must, type RunOptions } from '../../support/program.js';
import { copyImage } from './image-file.js';

/** What a user could take instead, and what it would send. */
export interface Rival {
  readonly name: string;
  readonly needs: readonly string[];
  /** Bytes both ways, and with which settings. `scratch` is an empty folder. */
  measure(images: Images, scratch: string): Promise<RivalCost>;
}

export interface Images {
  readonly before: string;
  readonly after: string;
}

export interface RivalCost {
  readonly bytes: number;
  readonly how: string;
}

const SLOW: RunOptions = { timeoutMs: 7_200_000 };

const least = (costs: readonly RivalCost[]): RivalCost =>
  costs.reduce((best, cost) => (cost.bytes < best.bytes ? cost : best));

const sizeOf = async (path: string): Promise<number> => (await stat(path)).size;

/** Over a pipe on this machine, with the old image at the other end; bytes both ways, as rsync itself counts them. */
const rsync: Rival = {
  name: 'rsync',
  needs: ['rsync'],
  measure: async ({ before, after }, scratch) => {
    const target = join(scratch, 'image');
    const ways: readonly (readonly string[])[] = [
      ['-z'],
      ['--compress', '--compress-choice=zstd', '--compress-level=19'],
      ['--compress', '--compress-choice=zstd', '--compress-level=19', '--block-size=4096'],
      ['--compress', '--compress-choice=zstd', '--compress-level=19', '--block-size=1024'],
    ];
    const costs: RivalCost[] = [];
    for (const way of ways) {
      await copyImage(before, target);
      // Equal size and time would be taken for an equal file.
      await utimes(target, 0, 0);
      const told = await must(
        'rsync',
        ['--no-whole-file', '--inplace', '--stats', ...way, after, target],
        SLOW,
      );
      const [sent, received] = ['sent', 'received'].map((word) => {
        const found = new RegExp(`Total bytes ${word}: ([\\d,]+)`).exec(told)?.[1];
        if (found === undefined) throw new Error(`rsync said nothing of the bytes ${word}:\n${told}`);
        return Number(found.replaceAll(',', ''));
      });
      costs.push({ bytes: (sent ?? 0) + (received ?? 0), how: way.join(' ') });
    }
    return least(costs);
  },
};

/** Signature and delta, each under zstd. */
const rdiff: Rival = {
  name: 'rdiff+zstd',
  needs: ['rdiff', 'zstd'],
  measure: async ({ before, after }, scratch) => {
    const costs: RivalCost[] = [];
    for (const blockSize of [1024, 4096]) {
      const [signature, delta] = [
        join(scratch, `signature-${blockSize}`),
        join(scratch, `delta-${blockSize}`),
      ];
      await must('rdiff', ['-b', String(blockSize), 'signature', before, signature], SLOW);
      await must('rdiff', ['delta', signature, after, delta], SLOW);
      let bytes = 0;
      for (const file of [signature, delta]) {
        await must('zstd', ['-q', '-19', '--long=27', file, '-o', `${file}.zst`], SLOW);
        bytes += await sizeOf(`${file}.zst`);
      }
      costs.push({ bytes, how: `-b ${blockSize}` });
    }
    return least(costs);
  },
};

/** With the whole old image at hand on both sides. */
const xdelta: Rival = {
  name: 'xdelta3 -9',
  needs: ['xdelta3'],
  measure: async ({ before, after }, scratch) => {
    const costs: RivalCost[] = [];
    const window = String(await sizeOf(before));
    for (const secondary of ['lzma', 'djw']) {
      const delta = join(scratch, secondary);
      await must('xdelta3', ['-e', '-9', '-S', secondary, '-B', window, '-s', before, after, delta], SLOW);
      costs.push({ bytes: await sizeOf(delta), how: `-S ${secondary} -B ${window}` });
    }
    return least(costs);
  },
};

/** With the whole old image at hand on both sides. */
const zstdPatch: Rival = {
  name: 'zstd --patch-from',
  needs: ['zstd'],
  measure: async ({ before, after }, scratch) => {
    const patch = join(scratch, 'patch');
    await must('zstd', ['-q', '-19', '--long=31', `--patch-from=${before}`, after, '-o', patch], SLOW);
    return { bytes: await sizeOf(patch), how: '-19 --long=31' };
  },
};

/** What the second archive adds to the repository, compressed. */
const borg: Rival = {
  name: 'borg',
  needs: ['borg'],
  measure: async ({ before, after }, scratch) => {
    const costs: RivalCost[] = [];
    const chunkings = ['buzhash,19,23,21,4095', 'buzhash,10,16,12,4095', 'fixed,4096'];
    for (const chunks of chunkings) {
      const folder = join(scratch, chunks.replaceAll(',', '-'));
      const repository = join(folder, 'repository');
      await mkdir(folder);
      const env = { BORG_BASE_DIR: folder, BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: 'yes' };
      const options = { ...SLOW, cwd: folder, env };
      await must('borg', ['init', '-e', 'none', repository], options);
      let told = '';
      for (const image of [before, after]) {
        // Under one name, as a backup of one disk is.
        await copyImage(image, join(folder, 'next'));
        await rename(join(folder, 'next'), join(folder, 'image'));
        const name = image === before ? 'first' : 'second';
        told = await must(
          'borg',
          [
            ...['create', '--json', '--compression', 'zstd,19', '--chunker-params', chunks],
            ...[`${repository}::${name}`, 'image'],
          ],
          options,
        );
      }
      const { archive } = JSON.parse(told) as {
        archive: { stats: { deduplicated_size: number } };
      };
      costs.push({ bytes: archive.stats.deduplicated_size, how: `--chunker-params ${chunks}` });
      await rm(folder, { recursive: true });
    }
    return least(costs);
  },
};

export const RIVALS: readonly Rival[] = [rsync, rdiff, xdelta, zstdPatch, borg];
