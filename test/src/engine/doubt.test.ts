import { expect } from 'chai';
import * as fs from 'node:fs';
import type { Volume } from '../../../src/engine/volume.js';
import { contentOf, EngineBench, expectSame, gather, pattern } from './engine-bench.js';

const BLOCK = 4096;
const BLOCKS = 64;

/** What the volume's maps must answer when something about them, or about what they rest on, is in doubt. */
describe('a volume in doubt', () => {
  let bench: EngineBench;
  beforeEach(async () => {
    bench = new EngineBench(BLOCKS * BLOCK, BLOCK);
    await bench.open();
  });
  afterEach(() => bench.dispose());

  const write = (block: number, seed: number, blocks = 1): void | Promise<void> =>
    bench.volume.backend.write(block * BLOCK, pattern(seed, blocks * BLOCK), false);

  const seal = async (...pinAs: string[]): ReturnType<Volume['seal']> =>
    bench.volume.seal({ grade: 'crash', pinAs });

  it('comes back without any after a clean stop', async () => {
    await write(1, 1);
    const state = await seal('vault');
    await write(2, 2);
    await bench.reopen();
    const about = await bench.volume.describe();
    expect(about.warnings).to.deep.equal([]);
    expect(about.dirtyBlocks).to.equal(1);
    expect(about.pins).to.deep.equal({ vault: state.id });
    expect(about.lastState).to.deep.equal(state);
  });

  it('takes the whole open epoch as changed when the machine went down', async () => {
    await write(1, 1);
    const first = await seal('vault');
    await write(2, 2);
    const killed = bench.killed();
    try {
      const volume = await killed.open({ bootId: 'boot-2' });
      const about = await volume.describe();
      expect(about.warnings).to.have.length(1);
      expect(about.dirtyBlocks).to.equal(BLOCKS);
      expect((await contentOf(volume, first.id, BLOCK, BLOCKS * BLOCK)).unavailable).to.have.property(
        'size',
        BLOCKS,
      );
      const second = await volume.seal({ grade: 'crash', pinAs: ['travel'] });
      const set = await gather(volume, { from: first.id, to: second.id }, BLOCK);
      expect(set.unavailable.size).to.equal(0);
      expect(set.blocks.size).to.equal(BLOCKS);
      expect(await volume.countChanges({ from: first.id, to: second.id })).to.equal(BLOCKS);
      expect(set.blocks.get(0)).to.equal(null);
      expect(Buffer.from(set.blocks.get(2) ?? [])).to.deep.equal(pattern(2, BLOCK));
      expect((await volume.describe()).dirtyBlocks).to.equal(0);
    } finally {
      await killed.dispose();
    }
  });

  it('goes on with snapshot and pins when only the process was killed', async () => {
    await write(1, 1);
    const state = await seal('vault');
    await write(1, 2);
    const killed = bench.killed();
    try {
      const volume = await killed.open();
      expect((await volume.describe()).warnings).to.deep.equal([]);
      const { content, unavailable } = await contentOf(volume, state.id, BLOCK, BLOCKS * BLOCK);
      expect(unavailable.size).to.equal(0);
      expect(content.subarray(BLOCK, 2 * BLOCK)).to.deep.equal(pattern(1, BLOCK));
    } finally {
      await killed.dispose();
    }
  });

  it('notices that the device was written while it was closed', async () => {
    await write(1, 1);
    await seal('vault');
    await bench.close();
    const image = fs.openSync(bench.image, 'r+');
    fs.writeSync(image, pattern(9, 16), 0, 16, 20 * BLOCK);
    fs.closeSync(image);
    const volume = await bench.open();
    const about = await volume.describe();
    expect(about.warnings[0]).to.include('written while farcopy was not in the path');
    expect(about.dirtyBlocks).to.equal(BLOCKS);
    await bench.reopen();
    expect((await bench.volume.describe()).warnings).to.have.length(1, 'until it is compared');
  });

  it('takes the tail of a device that has grown as changed', async () => {
    await write(1, 1);
    const first = await seal('vault');
    await bench.close();
    fs.truncateSync(bench.image, 2 * BLOCKS * BLOCK);
    const volume = await bench.open();
    expect((await volume.describe()).sizeBytes).to.equal(2 * BLOCKS * BLOCK);
    await volume.backend.write((BLOCKS + 3) * BLOCK, pattern(4, BLOCK), false);
    const { content, unavailable } = await contentOf(volume, first.id, BLOCK, BLOCKS * BLOCK);
    expect(unavailable.size).to.equal(0);
    expect(content.subarray(BLOCK, 2 * BLOCK)).to.deep.equal(pattern(1, BLOCK));
    const second = await volume.seal({ grade: 'crash', pinAs: ['travel'] });
    const set = await gather(volume, { from: first.id, to: second.id }, BLOCK);
    expect([...set.blocks.keys()]).to.deep.equal(Array.from({ length: BLOCKS }, (_, i) => BLOCKS + i));
    await bench.reopen();
    expect((await bench.volume.describe()).dirtyBlocks).to.equal(0);
  });

  for (const part of ['before', 'index', 'map'] as const) {
    for (const harm of ['removed', 'cut', 'overwritten'] as const) {
      it(`never answers wrong when the .${part} file was ${harm}`, async () => {
        for (let block = 0; block < 20; block++) await write(block, block);
        // Never written over: what it held is known only while the map is.
        await write(50, 50);
        const state = await seal('vault');
        const wanted = fs.readFileSync(bench.image);
        for (let block = 0; block < 40; block++) await write(block, 100 + block);
        await bench.close();
        const path = bench.stateFile(`epoch-1.${part}`);
        const { size } = fs.statSync(path);
        if (harm === 'removed') fs.rmSync(path);
        else if (harm === 'cut') fs.truncateSync(path, part === 'map' ? size - 1 : size - 3 * BLOCK - 7);
        else {
          const file = fs.openSync(path, 'r+');
          fs.writeSync(
            file,
            pattern(5, part === 'map' ? 32 : 64),
            0,
            part === 'map' ? 32 : 64,
            part === 'map' ? 0 : 40,
          );
          fs.closeSync(file);
        }
        const volume = await bench.open();
        const { content, unavailable } = await contentOf(volume, state.id, BLOCK, BLOCKS * BLOCK);
        expect(unavailable.size).to.be.greaterThan(0);
        expectSame(content, wanted, 'the state', BLOCK, unavailable);
        const next = await volume.seal({ grade: 'crash', pinAs: ['travel'] });
        const set = await gather(volume, { from: state.id, to: next.id }, BLOCK);
        expect(set.unavailable.size).to.equal(0);
        for (let block = 0; block < 40; block++) expect(set.blocks.has(block)).to.equal(true);
      });
    }
  }

  it('does not take an index entry of another epoch', async () => {
    await write(1, 1);
    await seal('vault');
    await write(1, 2);
    await bench.close();
    // Block 1 as its before-image of epoch 1 would be, offered to epoch 0 of another volume's folder.
    const index = fs.readFileSync(bench.stateFile('epoch-1.index'));
    const data = fs.readFileSync(bench.stateFile('epoch-1.before'));
    const other = new EngineBench(BLOCKS * BLOCK, BLOCK);
    try {
      await other.open();
      const first = await other.volume.seal({ grade: 'crash', pinAs: ['a'] });
      const second = await other.volume.seal({ grade: 'crash', pinAs: ['b'] });
      await other.volume.backend.write(BLOCK, pattern(3, BLOCK), false);
      await other.close();
      fs.writeFileSync(other.stateFile('epoch-2.index'), index);
      fs.writeFileSync(other.stateFile('epoch-2.before'), data);
      const volume = await other.open();
      for (const state of [first, second]) {
        const { unavailable } = await contentOf(volume, state.id, BLOCK, BLOCKS * BLOCK);
        expect([...unavailable]).to.deep.equal([1]);
      }
    } finally {
      await other.dispose();
    }
  });
});
