import { expect } from 'chai';
import * as fs from 'node:fs';
import { blockIndex } from '../../../protocol/units.js';
import { EngineBench, gather, pattern } from './engine-bench.js';

const BLOCK = 4096;
const BLOCKS = 64;

describe('the pins of a first copy that travels on a disk', () => {
  let bench: EngineBench;
  beforeEach(() => {
    bench = new EngineBench(BLOCKS * BLOCK, BLOCK);
  });
  afterEach(() => bench.dispose());

  const write = (block: number, blocks: number, seed: number): void | Promise<void> =>
    bench.volume.backend.write(block * BLOCK, pattern(seed, blocks * BLOCK), false);
  const isGivenUp = async (from: Parameters<typeof gather>[1]['from'], to: string): Promise<boolean> => {
    const bounds = { from, to: to as NonNullable<typeof from> };
    return (
      (await bench.volume.collect({ ...bounds, cursor: blockIndex(0), maxContentBytes: 1 })).isGivenUp ===
      true
    );
  };

  it('while it is written all of it is needed, then only what has changed since, over restarts', async () => {
    await bench.open({ beforeImageBudgetBytes: 20 * BLOCK });
    await write(0, BLOCKS, 1);
    const { id } = await bench.volume.seal({ grade: 'crash', pinAs: ['seeding:vault'] });
    const content = fs.readFileSync(bench.image);
    await write(5, 15, 2);
    const { blocks, unavailable } = await gather(bench.volume, { from: null, to: id }, BLOCK);
    expect(unavailable.size).to.equal(0);
    for (const [block, bytes] of blocks) {
      const expected = content.subarray(block * BLOCK, (block + 1) * BLOCK);
      expect(Buffer.compare(bytes ?? Buffer.alloc(BLOCK), expected)).to.equal(0);
    }
    expect(blocks.size).to.equal(BLOCKS);

    await bench.volume.pin('seed:vault', id);
    await bench.volume.unpin('seeding:vault');
    // Far more than the budget has room for; nobody is told that anything is given up.
    for (let round = 0; round < 10; round++) {
      await write(round, 40, 3 + round);
      await bench.volume.seal({ grade: 'crash', pinAs: ['next:vault'] });
      expect((await bench.volume.describe()).warnings).to.deep.equal([]);
      await bench.reopen();
    }
    const { states, pins } = await bench.volume.describe();
    expect(pins['seed:vault']).to.equal(id);
    const newest = states.at(-1)!.id;
    const changed = await gather(bench.volume, { from: id, to: newest }, BLOCK);
    expect(changed.unavailable.size).to.equal(0);
    expect([...changed.blocks.keys()].sort((a, b) => a - b)).to.deep.equal(
      Array.from({ length: 49 }, (_, i) => i),
    );
    await bench.volume.tidied();
    const maps = fs.readdirSync(bench.folder).filter((name) => /^epoch-\d+\.map$/.test(name));
    expect(maps).to.have.length(2);
  });

  it('a state that is written to a disk is given up where there is no room, before one that travels', async () => {
    await bench.open({ beforeImageBudgetBytes: 10 * BLOCK });
    await write(0, BLOCKS, 1);
    const base = await bench.volume.seal({ grade: 'crash', pinAs: ['base:attic'] });
    await write(0, 6, 2);
    const travelling = await bench.volume.seal({ grade: 'crash', pinAs: ['travel:attic'] });
    const seeding = await bench.volume.seal({ grade: 'crash', pinAs: ['seeding:vault'] });
    await write(0, 6, 3);
    await write(20, 30, 3);
    expect(await isGivenUp(null, seeding.id)).to.equal(true);
    expect(await isGivenUp(base.id, travelling.id)).to.equal(false);
  });

  it('what is to travel while the disk is on its way needs no more than what has changed since the disk', async () => {
    await bench.open({ beforeImageBudgetBytes: 8 * BLOCK });
    await write(0, BLOCKS, 1);
    const { id } = await bench.volume.seal({ grade: 'crash', pinAs: ['seed:vault'] });
    await write(0, 4, 2);
    const next = await bench.volume.seal({ grade: 'crash', pinAs: ['next:vault'] });
    await write(0, 4, 3);
    await write(20, 40, 3);
    expect(await isGivenUp(id, next.id)).to.equal(false);
    const { blocks, unavailable } = await gather(bench.volume, { from: id, to: next.id }, BLOCK);
    expect([unavailable.size, blocks.size]).to.deep.equal([0, 4]);
  });
});
