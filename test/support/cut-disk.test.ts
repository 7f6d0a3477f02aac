import { expect } from 'chai';
import { open, readFile, rename, writeFile } from 'node:fs/promises';
import { anotherBoot } from './another-boot.js';
import { CutDisk } from './cut-disk.js';
import { CUT_FILESYSTEM_NEEDS, CutFilesystem } from './cut-filesystem.js';
import { must } from './program.js';
import { requires } from './requirements.js';
import { sandboxPerTest } from './sandbox.js';
import { Seeded, seedOfThisRun } from './seeded.js';

const PAGE = 4096;
const page = (value: number): Buffer => Buffer.alloc(PAGE, value);

/** What a cut leaves of one page, for many seeds: each distinct content once, one letter a sector. */
async function left(work: (disk: CutDisk) => Promise<void> | void): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  for (let seed = 1; seed <= 200; seed++) {
    const disk = new CutDisk({ random: new Seeded(seed), content: page(0) });
    await work(disk);
    const content = disk.cut();
    found.add(Array.from({ length: 8 }, (_, sector) => content[sector * 512]).join(''));
  }
  return found;
}

describe('cut disk', () => {
  it('leaves of what was not flushed all, nothing, or some sectors, but the two of a superblock together', async () => {
    const found = await left((disk) => disk.write(0, page(1), false));
    expect([...found]).to.include.members(['00000000', '11111111']);
    expect(found.size).to.be.greaterThan(10);
    for (const sectors of found) expect(sectors[2], sectors).to.equal(sectors[3]);
  });

  it('keeps what was answered before a flush came, and not what came while the flush took its time', async () => {
    const found = await left(async (disk) => {
      disk.write(0, page(1), false);
      const flush = disk.flush();
      disk.write(512, page(2).subarray(0, 512), false);
      await flush;
    });
    expect([...found].sort()).to.deep.equal(['11111111', '12111111']);
  });

  it('has promised nothing before a flush is answered', async () => {
    const found = await left((disk) => {
      disk.write(0, page(1), false);
      void disk.flush();
    });
    expect(found.has('00000000')).to.equal(true);
  });

  it('keeps a FUA write, and no older one in its place', async () => {
    const found = await left((disk) => {
      disk.write(0, page(1), false);
      disk.write(0, page(2), true);
    });
    expect([...found]).to.deep.equal(['22222222']);
  });

  it('may keep a later write and lose the one before it', async () => {
    const found = await left((disk) => {
      disk.write(0, page(1).subarray(0, 512), false);
      disk.write(512, page(2).subarray(0, 512), false);
    });
    expect([...found].sort()).to.deep.equal(['00000000', '02000000', '10000000', '12000000']);
  });

  it('keeps nothing when it lies', async () => {
    const found = await left(async (disk) => {
      disk.write(0, page(1), true);
      disk.lie();
      disk.write(0, page(2), true);
      await disk.flush();
    });
    expect([...found]).to.deep.equal(['11111111']);
  });

  it('is cut before the operation it was to be cut at, and refuses all from then on', async () => {
    const disk = new CutDisk({ random: new Seeded(1), content: page(0) });
    let isCut = false;
    disk.after(2, () => {
      disk.cut();
      isCut = true;
    });
    disk.write(0, page(1), false);
    expect(isCut).to.equal(false);
    const flush = disk.flush().catch((cause: unknown) => cause);
    expect(() => disk.write(0, page(2), false)).to.throw('power');
    expect(isCut).to.equal(true);
    expect(await flush).to.have.property('name', 'PowerCut');
    expect(() => disk.read(0, page(0))).to.throw('power');
  });
});

describe('ext4 on a cut disk', function () {
  this.timeout(60_000);
  const sandbox = sandboxPerTest();

  async function made(): Promise<CutFilesystem> {
    const seed = seedOfThisRun();
    console.log(`      SEED=${seed}`);
    return CutFilesystem.make(sandbox(), 'disk', { sizeBytes: 32 << 20, random: new Seeded(seed) });
  }

  it('is told of a flush by each fsync, and by nothing else at once', async function () {
    requires(this, CUT_FILESYSTEM_NEEDS);
    const { disk, folder } = await made();
    const file = await open(`${folder}/file`, 'w');
    for (let round = 0; round < 5; round++) {
      await file.write(page(round), 0, PAGE, 0);
      const before = (await disk.counts()).flushes;
      await file.sync();
      expect((await disk.counts()).flushes).to.be.greaterThan(before);
    }
    await file.close();
  });

  it('has what was synced after a cut, is whole, and may lack the rest', async function () {
    requires(this, CUT_FILESYSTEM_NEEDS);
    const cut = await made();
    let lost = 0;
    for (let round = 1; round <= 4; round++) {
      const { folder } = cut;
      const file = await open(`${folder}/new`, 'w');
      await file.write(page(round));
      await file.sync();
      await file.close();
      await rename(`${folder}/new`, `${folder}/synced`);
      await must('sync', [folder]);
      await writeFile(`${folder}/hasty`, page(round));
      await cut.cut();
      await cut.restore();
      expect(await readFile(`${folder}/synced`)).to.deep.equal(page(round));
      const hasty = await readFile(`${folder}/hasty`).catch(() => Buffer.alloc(0));
      if (!hasty.equals(page(round))) lost++;
    }
    expect(lost).to.be.greaterThan(0, 'nothing was ever lost: no cut at all');
  });

  it('comes with another boot for a program that asks', async function () {
    requires(this, CUT_FILESYSTEM_NEEDS);
    const { id, through } = await anotherBoot(sandbox());
    const path = '/proc/sys/kernel/random/boot_id';
    expect(await must('cat', [path], { through })).to.equal(`${id}\n`);
    expect(await readFile(path, 'utf8')).not.to.equal(`${id}\n`);
  });
});
