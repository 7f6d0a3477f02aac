import { expect } from 'chai';
import * as fc from 'fast-check';
import { covering, RangeSet } from '../../protocol/ranges.js';
import { seedOfThisRun } from '../support/seeded.js';

const END = 40;
const change = fc.record({ add: fc.boolean(), start: fc.nat(END), length: fc.integer({ min: -2, max: 12 }) });

describe('a range set', () => {
  const seed = seedOfThisRun();

  it(`is as a plain set of numbers, whatever is added and removed (SEED=${seed})`, () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 40 }), fc.nat(END), fc.nat(END), (changes, from, to) => {
        const set = new RangeSet();
        const model = new Set<number>();
        for (const { add, start, length } of changes) {
          if (add) set.add(start, start + length);
          else set.remove(start, start + length);
          for (let i = start; i < start + length; i++) {
            if (add) model.add(i);
            else model.delete(i);
          }
          expectCanonical(set);
        }
        expect(members(set)).to.deep.equal([...model].sort((a, b) => a - b));
        expect(set.size).to.equal(model.size);
        expect(set.isEmpty).to.equal(model.size === 0);
        expect(members(new RangeSet(set.ranges))).to.deep.equal(members(set));

        const asked = Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i);
        expect(set.covers(from, to)).to.equal(asked.every((i) => model.has(i)));
        expect(set.intersects(from, to)).to.equal(asked.some((i) => model.has(i)));
        const gaps = new RangeSet(set.gaps(from, to));
        expect(members(gaps)).to.deep.equal(asked.filter((i) => !model.has(i)));
        expectCanonical(gaps);
        const parts = new RangeSet(set.parts(from, to));
        expect(members(parts)).to.deep.equal(asked.filter((i) => model.has(i)));
        expect(parts.ranges).to.deep.equal(set.parts(from, to));
        expect(set.first(from, to)).to.deep.equal(set.parts(from, to)[0] ?? null);
      }),
      { seed, numRuns: 1000 },
    );
  });

  it('is covered by fewer ranges with as little in between as can be', () => {
    const set = new RangeSet([
      { start: 2, end: 3 },
      { start: 5, end: 9 },
      { start: 10, end: 11 },
      { start: 20, end: 22 },
      { start: 22 + 4, end: 30 },
    ]);
    expect(covering(set.ranges, 5)).to.deep.equal(set.ranges);
    expect(covering(set.ranges, 4).map(({ start, end }) => [start, end])).to.deep.equal([
      [2, 3],
      [5, 11],
      [20, 22],
      [26, 30],
    ]);
    expect(covering(set.ranges, 2).map(({ start, end }) => [start, end])).to.deep.equal([
      [2, 11],
      [20, 30],
    ]);
    expect(covering(set.ranges, 1)).to.deep.equal([{ start: 2, end: 30 }]);
    expect(covering([], 1)).to.deep.equal([]);
  });
});

const members = (set: RangeSet): number[] =>
  set.ranges.flatMap(({ start, end }) => Array.from({ length: end - start }, (_, i) => start + i));

/** Sorted, disjoint, not adjacent, none empty. */
function expectCanonical(set: RangeSet): void {
  let last = -1;
  for (const { start, end } of set.ranges) {
    expect(start).to.be.greaterThan(last);
    expect(end).to.be.greaterThan(start);
    last = end;
  }
}
