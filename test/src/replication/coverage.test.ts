import { expect } from 'chai';
import { blockIndex, stateId, type StateId } from '../../../protocol/units.js';
import { covered, nextStretch, nothingCovered, type Coverage } from '../../../src/replication/coverage.js';
import { Seeded, seedOfThisRun } from '../../support/seeded.js';

const BLOCKS = 20;
const state = (n: number): StateId => stateId(String(n).repeat(32));

/** The same, a word for each block. */
const byBlock = (coverage: Coverage): (StateId | null)[] =>
  Array.from({ length: BLOCKS }, (_, block) => {
    const found = coverage.filter(({ start, end }) => start <= block && (end === null || block < end));
    expect(found, `stretches with block ${block}`).to.have.length(1);
    return found[0]!.asOf;
  });

describe('what of a volume is covered by a set', () => {
  it('is, block by block, what the last part said', () => {
    const seed = seedOfThisRun();
    console.log(`      SEED=${seed}`);
    const random = new Seeded(seed);
    for (let round = 0; round < 50; round++) {
      let coverage = nothingCovered(state(0));
      let model = byBlock(coverage);
      for (let step = 0; step < 12; step++) {
        const start = random.below(BLOCKS);
        const end = random.chance(0.2) ? null : start + random.below(BLOCKS - start + 1);
        const asOf = state(random.below(4));
        coverage = covered(coverage, {
          start: blockIndex(start),
          end: end === null ? null : blockIndex(end),
          asOf,
        });
        model = model.map((old, block) => (block >= start && block < (end ?? BLOCKS) ? asOf : old));
        expect(byBlock(coverage)).to.deep.equal(model);
        expect(coverage.at(-1)?.end).to.equal(null);
        for (const [i, stretch] of coverage.entries())
          expect(coverage[i + 1]?.asOf).to.not.equal(stretch.asOf);
      }
    }
  });

  it('leaves for the end what was gathered for an earlier target', () => {
    let coverage = nothingCovered(null);
    coverage = covered(coverage, { start: blockIndex(0), end: blockIndex(5), asOf: state(1) });
    const order = [null, state(1)];
    expect(nextStretch(coverage, state(2), order)).to.deep.equal({ start: 5, end: null, asOf: null });
    coverage = covered(coverage, { start: blockIndex(5), end: null, asOf: state(2) });
    expect(nextStretch(coverage, state(2), order)).to.deep.equal({ start: 0, end: 5, asOf: state(1) });
    coverage = covered(coverage, { start: blockIndex(0), end: blockIndex(5), asOf: state(2) });
    expect(nextStretch(coverage, state(2), order)).to.equal(null);
  });
});
