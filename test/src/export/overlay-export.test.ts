import { expect } from 'chai';
import type { File, OpenMode } from '../../../src/platform/files.js';
import { BlockSet } from '../../../src/export/block-set.js';
import { OverlayExport } from '../../../src/export/overlay-export.js';
import { CrashFiles } from '../../support/crash-files.js';
import { MemoryFiles } from '../../support/memory-files.js';
import { chance } from '../../support/seeded-choices.js';
import { Seeded, seedOfThisRun } from '../../support/seeded.js';
import { storedState } from './stored-state.js';

const ROUNDS = process.env['FARCOPY_SOAK'] === '1' ? 1000 : 40;
const NAMES = { name: 'ledger', description: '' };

describe('a set of blocks', () => {
  const seed = seedOfThisRun();
  it(`is as a plain set, run by run (SEED=${seed})`, () => {
    const seeded = new Seeded(seed);
    for (let round = 0; round < 50; round++) {
      const count = 1 + seeded.below(300);
      const blocks = new BlockSet(count);
      const plain = new Set<number>();
      for (let i = seeded.below(8); i > 0; i--) {
        const start = seeded.below(count);
        const end = start + seeded.below(count - start + 1);
        blocks.add(start, end);
        for (let block = start; block < end; block++) plain.add(block);
      }
      const until = 1 + seeded.below(count);
      for (let at = 0; at < until;) {
        const end = blocks.endOfRun(at, until);
        expect(end).to.be.greaterThan(at).and.at.most(until);
        for (let block = at; block < end; block++) expect(plain.has(block)).to.equal(blocks.has(at));
        if (end < until) expect(plain.has(end)).to.equal(!plain.has(at));
        at = end;
      }
    }
  });
});

describe('a state exported with an overlay', () => {
  const seed = seedOfThisRun();

  for (const holes of [true, false]) {
    it(`is as a plain array, and the state is left alone, ${holes ? 'with' : 'without'} a disk that makes holes (SEED=${seed})`, async () => {
      for (let round = 0; round < ROUNDS; round++) {
        const seeded = new Seeded(seed + round);
        const blockSize = chance(seeded, 0.5) ? 512 : 4096;
        const size = blockSize * (1 + seeded.below(20));
        const content = seeded.bytes(size);
        if (chance(seeded, 0.5)) content.fill(0, seeded.below(size));
        const reader = await storedState(content, blockSize);
        const files = holes ? new MemoryFiles() : new HolelessFiles();
        const overlay = await OverlayExport.open(reader, NAMES, { files, random: seeded, folder: '/tmp' });
        expect(files.paths(), 'it has no name').to.deep.equal([]);
        const model = Uint8Array.from(content);
        for (let step = 0; step < 30; step++) {
          const offset = seeded.below(size);
          const length = seeded.below(size - offset + 1);
          if (chance(seeded, 0.4)) {
            const bytes = Buffer.from(seeded.bytes(length));
            await overlay.write(offset, bytes);
            model.set(bytes, offset);
          } else if (chance(seeded, 0.3)) {
            await overlay.writeZeroes(offset, length);
            model.fill(0, offset, offset + length);
          } else {
            const into = Buffer.alloc(length);
            await overlay.read(offset, into);
            expect(Buffer.compare(into, model.subarray(offset, offset + length)), `round ${round}`).to.equal(
              0,
            );
          }
          await expectAllocation(overlay, model, seeded);
        }
        await overlay.close();
        const left = new Uint8Array(size);
        await reader.read(left, 0);
        expect(Buffer.compare(left, content), 'the state').to.equal(0);
      }
    });
  }

  it('lets writes of parts of one block, all at once, all be seen', async () => {
    const reader = await storedState(new Seeded(1).bytes(4096), 4096);
    const overlay = await OverlayExport.open(reader, NAMES, place(new MemoryFiles()));
    await Promise.all(Array.from({ length: 64 }, (_, i) => overlay.write(i * 64, Buffer.alloc(64, i + 1))));
    const into = Buffer.alloc(4096);
    await overlay.read(0, into);
    for (let i = 0; i < 64; i++) expect(into[i * 64 + 63]).to.equal(i + 1);
    await overlay.close();
  });

  it('tells that its disk is full, and goes on with what it has', async () => {
    const content = new Seeded(2).bytes(8192);
    const before = new CrashFiles();
    await (await OverlayExport.open(await storedState(content, 4096), NAMES, place(before))).close();
    // The block as a whole cannot come in; it has, but what is written does not fit.
    for (const more of [0, 1]) {
      const files = new CrashFiles({ failAt: { operation: before.log.length + more, code: 'no-space' } });
      const overlay = await OverlayExport.open(await storedState(content, 4096), NAMES, place(files));
      const failure: unknown = await overlay.write(100, Buffer.alloc(10)).catch((cause: unknown) => cause);
      expect(failure).to.have.property('code', 'no-space');
      for (let i = 0; i < 2; i++) {
        const into = Buffer.alloc(8192);
        await overlay.read(0, into);
        content.copy(into, 100, 100, 110);
        expect(Buffer.compare(into, content)).to.equal(0);
        await overlay.write(100, Buffer.alloc(10));
      }
      await overlay.close();
    }
  });
});

const place = (files: MemoryFiles) => ({ files, random: new Seeded(3), folder: '/tmp' });

/** Covers the range, and calls nothing zero that is not. */
async function expectAllocation(overlay: OverlayExport, model: Uint8Array, seeded: Seeded): Promise<void> {
  const start = seeded.below(model.byteLength);
  const limit = 1 + seeded.below(5);
  const extents = await overlay.allocation({ start, end: model.byteLength }, limit);
  expect(extents.length).to.be.greaterThan(0).and.at.most(limit);
  let at = start;
  for (const { length, zero } of extents) {
    expect(length).to.be.greaterThan(0);
    if (zero) expect(model.subarray(at, at + length).some((byte) => byte !== 0)).to.equal(false);
    at += length;
  }
  expect(at).to.be.at.most(model.byteLength);
  if (extents.length < limit) expect(at).to.equal(model.byteLength);
}

/** A file system that cannot give space back. */
class HolelessFiles extends MemoryFiles {
  override async open(path: string, mode: OpenMode): Promise<File> {
    const file = await super.open(path, mode);
    file.punchSync = () => false;
    return file;
  }
}
