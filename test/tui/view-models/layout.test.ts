import { expect } from 'chai';
import fc from 'fast-check';
import { layOut } from '../../../tui/view-models/layout.js';
import { seedOf } from '../seed.js';

describe('the lines of the screen', () => {
  it('go to what is needed first, then to the earlier panels', () => {
    const wants = [
      { least: 3, most: 8 },
      { least: 3, most: 3 },
      { least: 4, most: 99 },
    ];
    expect(layOut(wants, 40)).to.deep.equal([8, 3, 29]);
    expect(layOut(wants, 12)).to.deep.equal([5, 3, 4]);
    expect(layOut(wants, 7)).to.deep.equal([3, 3, 1]);
    expect(layOut(wants, 2)).to.deep.equal([2, 0, 0]);
    expect(layOut(wants, -3)).to.deep.equal([0, 0, 0]);
  });

  it('are never more than there are, nor left over while somebody wants them', () => {
    const want = fc.tuple(fc.nat(10), fc.nat(30)).map(([least, more]) => ({ least, most: least + more }));
    fc.assert(
      fc.property(fc.array(want), fc.nat(80), (wants, height) => {
        const given = layOut(wants, height).reduce((sum, lines) => sum + lines, 0);
        const wanted = wants.reduce((sum, { most }) => sum + most, 0);
        expect(given).to.equal(Math.min(height, wanted));
      }),
      seedOf('layout'),
    );
  });
});
