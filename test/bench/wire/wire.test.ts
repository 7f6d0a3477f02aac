import { expect } from 'chai';
import { writeFile } from 'node:fs/promises';
import { requires } from '../../support/requirements.js';
import { sandboxPerTest } from '../../support/sandbox.js';
import { seedOfThisRun } from '../../support/seeded.js';
import { measureWorkload, obstacle, type BenchOptions } from './bench.js';
import { changedRuns, ImageFile } from './image-file.js';
import { measureOurs } from './measure-ours.js';
import { tableText } from './table.js';
import type { Workload } from './workload.js';
import { WORKLOADS } from './workloads.js';

const BLOCK = 4096;

describe('bench:wire', function () {
  this.timeout(240_000);
  const sandbox = sandboxPerTest();
  const options = (): BenchOptions => {
    const seed = seedOfThisRun();
    console.log(`      SEED=${seed}`);
    const mounting = process.getuid?.() === 0 ? 'loop' : 'fuse2fs';
    return {
      ...{ seed, blockSize: BLOCK, pageSize: 4096, size: 'small', mounting },
      keep: sandbox().path('kept'),
      // Fast, so that this test need not wait for the slowest compression.
      bytesPerSecond: 2_000_000,
      rivals: new Set(['content', 'xdelta3 -9']),
      say: () => undefined,
    };
  };

  /** Two small images: some blocks changed, one of them to zeros, one of two neighbours. */
  const tiny: Workload = {
    name: 'tiny',
    title: 'a few blocks',
    needs: [],
    make: async ({ seeded, before, after }) => {
      const old = seeded.bytes(512 * BLOCK);
      const now = Buffer.from(old);
      for (const block of [3, 4, 100, 511]) seeded.fill(now.subarray(block * BLOCK, (block + 1) * BLOCK));
      now.fill(0, 50 * BLOCK, 51 * BLOCK);
      await writeFile(before, old);
      await writeFile(after, now);
    },
  };

  it('counts what differs and what it takes to send it', async () => {
    const row = await measureWorkload(tiny, options());
    expect(row).to.include({ changedBlocks: 5, zeroBlocks: 1 });
    expect(row.ours.blocks).to.equal(5);
    // Four blocks that nothing makes smaller.
    expect(row.ours.encodedBytes).to.be.within(4 * BLOCK, 4 * BLOCK + 500);
    expect(row.ours.messageBytes).to.be.within(50, 2000);
    expect(row.content?.raw).to.equal(4 * BLOCK);
    expect(row.content?.brotli).to.be.within(4 * BLOCK, 4 * BLOCK + 500);
    const [head, , line] = tableText([row]).split('\n');
    expect(head).to.contain('xdelta3 -9');
    expect(line).to.contain('a few blocks').and.to.contain(row.ours.encodedBytes.toLocaleString('en'));
  });

  it('fails where the far copy is not the new image', async () => {
    const [oldPath, newPath] = [sandbox().path('old.img'), sandbox().path('new.img')];
    const content = Buffer.alloc(64 * BLOCK, 7);
    await writeFile(oldPath, content);
    content[9 * BLOCK] = 8;
    content[40 * BLOCK] = 8;
    await writeFile(newPath, content);
    const [before, after] = [await ImageFile.open(oldPath), await ImageFile.open(newPath)];
    try {
      const runs = await changedRuns(before, after, BLOCK);
      expect(runs).to.deep.equal([
        { start: 9, count: 1, zero: false },
        { start: 40, count: 1, zero: false },
      ]);
      const how = { blockSize: BLOCK, bytesPerSecond: 2_000_000, overwritten: false, seed: 1 };
      await measureOurs({ before, after }, runs, sandbox().folder, how);
      // One change is not written: the copy lacks it.
      const failure = await measureOurs({ before, after }, runs.slice(1), sandbox().path('again'), how).then(
        () => '',
        (error: unknown) => (error as Error).message,
      );
      expect(failure).to.match(/the far copy differs/);
    } finally {
      await before.close();
      await after.close();
    }
  });

  it('takes a real database on ext4 through it', async function () {
    const workload = WORKLOADS.find(({ name }) => name === 'five-records')!;
    const chosen = options();
    if (obstacle(workload, chosen) !== null) requires(this, { programs: ['sqlite3', 'fuse2fs'] });
    const row = await measureWorkload(workload, { ...chosen, rivals: new Set() });
    expect(row.changedBlocks).to.be.within(5, 500);
    expect(row.ours.encodedBytes).to.be.within(1, row.changedBlocks * BLOCK);
  });
});
