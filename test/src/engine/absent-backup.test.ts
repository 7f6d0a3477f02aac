import { expect } from 'chai';
import * as fs from 'node:fs';
import { EngineBench, gather, pattern } from './engine-bench.js';

const BLOCK = 4096;
const BLOCKS = 256;

describe('a backup that stays away while another one follows', function () {
  this.timeout(300_000);
  const seals = process.env['FARCOPY_SOAK'] === '1' ? 1000 : 60;

  it(`costs one map after ${seals} sealed epochs, and its set is still whole`, async () => {
    const bench = new EngineBench(BLOCK * BLOCKS);
    const volume = await bench.open();
    try {
      const { id: held } = await volume.seal({ grade: 'crash', pinAs: ['base:attic', 'base:vault'] });
      for (let round = 0; round < seals; round++) {
        await volume.backend.write((round % BLOCKS) * BLOCK, pattern(round, BLOCK), false);
        const { id } = await volume.seal({ grade: 'crash', pinAs: ['next:attic', 'travel:vault'] });
        await volume.pin('base:vault', id);
        await volume.unpin('travel:vault');
      }
      await volume.tidied();
      const maps = fs.readdirSync(bench.folder).filter((name) => /^epoch-\d+\.map$/.test(name));
      // What attic lacks, and the open epoch.
      expect(maps).to.have.length(2);
      const { states } = await volume.describe();
      expect(states.map(({ id }) => id))
        .to.have.length(2)
        .and.include(held);
      const set = { from: held, to: states[1]!.id, by: 'base:attic' };
      const { blocks, unavailable } = await gather(volume, set, BLOCK);
      expect(unavailable.size).to.equal(0);
      expect(blocks.size).to.equal(Math.min(seals, BLOCKS));
      const image = fs.readFileSync(bench.image);
      for (const [block, content] of blocks) {
        expect(
          Buffer.compare(content ?? Buffer.alloc(BLOCK), image.subarray(block * BLOCK, (block + 1) * BLOCK)),
        ).to.equal(0);
      }
    } finally {
      await bench.dispose();
    }
  });
});
