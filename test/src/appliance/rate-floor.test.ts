import { expect } from 'chai';
import { millis } from '../../../protocol/units.js';
import { RateFloor } from '../../../src/appliance/rate-floor.js';

const SECOND = 1000;

/** When the floor of 100 bytes a second over 10 s gave a call up; null: not within a minute. */
function givenUpAfter(moved: (second: number) => number, isBusy: (second: number) => boolean): number | null {
  const floor = new RateFloor({ minBytesPerSecond: 100, overMs: 10 * SECOND });
  for (let second = 0; second <= 60; second++) {
    if (floor.look(millis(second * SECOND), moved(second), isBusy(second))) return second;
  }
  return null;
}

describe('a call below the floor', () => {
  const always = (): boolean => true;

  it('is given up once it has been too slow for the whole time', () => {
    expect(givenUpAfter((second) => second * 99, always)).to.equal(10);
  });

  it('is kept when it is just fast enough', () => {
    expect(givenUpAfter((second) => second * 100, always)).to.equal(null);
  });

  it('is given up later when it has become slow', () => {
    expect(givenUpAfter((second) => Math.min(second, 15) * 1000, always)).to.equal(30);
  });

  it('is not held against it that there was nothing to carry', () => {
    expect(
      givenUpAfter(
        () => 0,
        (second) => second % 10 !== 9,
      ),
    ).to.equal(null);
  });
});
