import { expect } from 'chai';
import * as fc from 'fast-check';
import { layeredRuns } from '../../../src/store/layered-runs.js';
import { RunTable, RunTableBuilder, ZERO_SLOT } from '../../../src/store/run-table.js';
import { seedOfThisRun } from '../../support/seeded.js';

const MAX_BLOCK = 2 ** 32 - 1;

/** Ascending disjoint runs out of gaps and lengths. */
const table = fc
  .array(fc.tuple(fc.nat(4), fc.integer({ min: 1, max: 5 }), fc.boolean()), { maxLength: 12 })
  .map((parts) => {
    const builder = new RunTableBuilder();
    let at = 0;
    let slot = 0;
    for (const [gap, count, zero] of parts) {
      builder.add(at + gap, count, zero ? ZERO_SLOT : slot);
      at += gap + count;
      if (!zero) slot += count;
    }
    return builder.finish();
  });

describe('runs laid over each other', () => {
  const seed = seedOfThisRun();

  it(`show of every block the last layer that has it, ascending (SEED=${seed})`, () => {
    fc.assert(
      fc.property(fc.array(table, { maxLength: 5 }), (layers) => {
        const wanted = new Map<number, string>();
        layers.forEach((layer, number) => {
          for (let run = 0; run < layer.length; run++) {
            const slot = layer.slot(run);
            for (let block = layer.start(run); block < layer.end(run); block++) {
              wanted.set(block, `${number}:${slot === ZERO_SLOT ? 'zero' : slot + block - layer.start(run)}`);
            }
          }
        });
        const found = new Map<number, string>();
        let end = 0;
        for (const piece of layeredRuns(layers)) {
          expect(piece.start).to.be.at.least(end);
          expect(piece.count).to.be.greaterThan(0);
          end = piece.start + piece.count;
          for (let i = 0; i < piece.count; i++) {
            const slot = piece.slot === ZERO_SLOT ? 'zero' : piece.slot + i;
            found.set(piece.start + i, `${piece.layer}:${slot}`);
          }
        }
        expect([...found].sort()).to.deep.equal([...wanted].sort());
      }),
      { seed, numRuns: 2000 },
    );
  });

  it('reach the last block there can be', () => {
    const all = RunTable.of([{ start: 0, count: 2 ** 32, slot: ZERO_SLOT }]);
    const last = RunTable.of([{ start: MAX_BLOCK, count: 1, slot: 0 }]);
    expect([...layeredRuns([all, last])]).to.deep.equal([
      { start: 0, count: MAX_BLOCK, layer: 0, run: 0, slot: ZERO_SLOT },
      { start: MAX_BLOCK, count: 1, layer: 1, run: 0, slot: 0 },
    ]);
  });
});

describe('a table of runs', () => {
  const seed = seedOfThisRun();

  it(`is the same after a file, and finds every block (SEED=${seed})`, () => {
    fc.assert(
      fc.property(table, fc.nat(80), (made, block) => {
        const read = RunTable.decode(made.encode());
        expect(Buffer.compare(read.encode(), made.encode())).to.equal(0);
        const found = read.find(block);
        if (found > 0) expect(read.end(found - 1)).to.be.at.most(block);
        if (found < read.length) expect(read.end(found)).to.be.greaterThan(block);
      }),
      { seed },
    );
  });
});
