import { expect } from 'chai';
import * as fs from 'node:fs';
import { contentOf, EngineBench, expectSame, gather, pattern } from './engine-bench.js';

const BLOCK = 4096;
const BLOCKS = 4096;
const SIZE = BLOCKS * BLOCK;

describe('what before-images cost', () => {
  let bench: EngineBench;
  beforeEach(async () => {
    bench = new EngineBench(SIZE, BLOCK);
    await bench.open({ beforeImageBudgetBytes: 100 * BLOCK });
  });
  afterEach(() => bench.dispose());

  const used = async (): Promise<number> => (await bench.volume.describe()).beforeImageBytes;

  it('nothing while nobody has pinned a state', async () => {
    await bench.volume.backend.write(0, pattern(1, SIZE), false);
    await bench.volume.seal({ grade: 'crash', pinAs: [] });
    await bench.volume.backend.write(0, pattern(2, BLOCK), false);
    await bench.volume.backend.write(BLOCK, pattern(2, SIZE - BLOCK), false);
    expect(await used()).to.equal(0);
    expect((await bench.volume.describe()).dirtyBlocks).to.equal(BLOCKS);
  });

  it('nothing for blocks that were zeros, written or trimmed or zeroed', async () => {
    const state = await bench.volume.seal({ grade: 'crash', pinAs: ['vault'] });
    await bench.volume.backend.write(0, pattern(1, SIZE), false);
    await bench.volume.backend.writeZeroes(0, SIZE / 2, { noHole: false, fua: false });
    await bench.volume.backend.trim(0, SIZE, false);
    expect(await used()).to.equal(0);
    expect(fs.statSync(bench.stateFile('epoch-1.index')).size).to.be.below(1024);
    const read = await contentOf(bench.volume, state.id, BLOCK, SIZE);
    expect(read.unavailable.size).to.equal(0);
    expectSame(read.content, Buffer.alloc(SIZE), 'the state', BLOCK);
  });

  it('no marks for making zeros of what is a hole already', async () => {
    await bench.volume.seal({ grade: 'crash', pinAs: ['vault'] });
    await bench.volume.backend.writeZeroes(0, SIZE, { noHole: false, fua: true });
    await bench.volume.backend.trim(0, SIZE, true);
    expect((await bench.volume.describe()).dirtyBlocks).to.equal(0);
    await bench.volume.backend.writeZeroes(0, 10 * BLOCK, { noHole: true, fua: false });
    expect((await bench.volume.describe()).dirtyBlocks).to.equal(10);
    expect(fs.statSync(bench.image).blocks * 512).to.be.at.least(10 * BLOCK);
  });

  it('never more than the budget, and the state is then given up block by block', async () => {
    await bench.volume.backend.write(0, pattern(1, SIZE), false);
    const wanted = fs.readFileSync(bench.image);
    const state = await bench.volume.seal({ grade: 'crash', pinAs: ['vault'] });
    for (let block = 0; block < 200; block++) {
      await bench.volume.backend.write(block * BLOCK, pattern(block, BLOCK), false);
    }
    expect(await used()).to.equal(100 * BLOCK);
    expect(fs.statSync(bench.stateFile('epoch-1.before')).size).to.equal(100 * BLOCK);
    const read = await contentOf(bench.volume, state.id, BLOCK, SIZE);
    expect([...read.unavailable]).to.deep.equal(Array.from({ length: 100 }, (_, i) => 100 + i));
    expectSame(read.content, wanted, 'the state', BLOCK, read.unavailable);
    await bench.reopen();
    expect(await used()).to.equal(100 * BLOCK);
    await bench.volume.seal({ grade: 'crash', pinAs: ['vault'] });
    await bench.volume.tidied();
    expect(await used()).to.equal(0);
    expect(fs.existsSync(bench.stateFile('epoch-1.before'))).to.equal(false);
  });

  it('a trim leaves most of the budget alone, and leaves out what would not fit', async () => {
    await bench.volume.backend.write(0, pattern(1, SIZE), false);
    const wanted = fs.readFileSync(bench.image);
    const state = await bench.volume.seal({ grade: 'crash', pinAs: ['vault'] });
    await bench.volume.backend.write(10 * BLOCK, pattern(2, BLOCK), false);
    await bench.volume.backend.trim(0, SIZE, false);
    expect(await used()).to.be.at.most(25 * BLOCK);
    const read = await contentOf(bench.volume, state.id, BLOCK, SIZE);
    expect(read.unavailable.size).to.equal(0);
    expectSame(read.content, wanted, 'the state', BLOCK);
  });

  it('a trim gives space back and reads as zeros, whole blocks only', async () => {
    await bench.volume.backend.write(0, pattern(1, SIZE), false);
    const before = fs.statSync(bench.image).blocks;
    await bench.volume.backend.trim(100, SIZE / 2, false);
    expect(fs.statSync(bench.image).blocks).to.be.below(before * 0.6);
    const into = Buffer.alloc(SIZE);
    await bench.volume.backend.read(0, into);
    const wanted = pattern(1, SIZE).fill(0, BLOCK, SIZE / 2);
    expectSame(into, wanted, 'the volume', BLOCK);
  });

  it('many seals with one old pin keep three epochs, and the old state', async function () {
    this.timeout(60_000);
    const seals = process.env['FARCOPY_SOAK'] === '1' ? 1000 : 200;
    await bench.volume.backend.write(0, pattern(1, 50 * BLOCK), false);
    const base = await bench.volume.seal({ grade: 'crash', pinAs: ['vault'] });
    const wanted = fs.readFileSync(bench.image);
    for (let i = 0; i < seals; i++) {
      await bench.volume.backend.write((i % 60) * BLOCK, pattern(i, BLOCK), false);
      await bench.volume.seal({ grade: 'crash', pinAs: ['travel'] });
    }
    await bench.volume.tidied();
    expect((await bench.volume.describe()).states).to.have.length(2);
    expect(fs.readdirSync(bench.folder).filter((name) => name.endsWith('.map')).length).to.be.at.most(3);
    const read = await contentOf(bench.volume, base.id, BLOCK, SIZE);
    expect(read.unavailable.size).to.equal(0);
    expectSame(read.content, wanted, 'the base', BLOCK);
    expect(await used()).to.equal(50 * BLOCK);
    const last = (await bench.volume.describe()).lastState;
    const set = await gather(bench.volume, { from: base.id, to: last?.id ?? base.id }, BLOCK);
    expect(set.blocks.size).to.equal(60);
  });
});
