import { expect } from 'chai';
import { millis } from '../../../protocol/units.js';
import { BackOff, DIALLED_LINE, STANDING_LINE } from '../../../src/appliance/back-off.js';
import { RateMeter } from '../../../src/appliance/rate-meter.js';

describe('the time left', () => {
  const seen = (samples: readonly (readonly [number, number])[], total = 1000): RateMeter => {
    const meter = new RateMeter();
    for (const [at, held] of samples) meter.observe(millis(at), { of: 'a', held, fraction: held / total });
    return meter;
  };

  it('is unknown at first, for another set, and when nothing moves', () => {
    expect(seen([[0, 0]]).secondsLeft('a')).to.equal(null);
    expect(
      seen([
        [0, 0],
        [1000, 50],
      ]).secondsLeft('a'),
    ).to.equal(null);
    expect(
      seen([
        [0, 0],
        [9000, 90],
      ]).secondsLeft('b'),
    ).to.equal(null);
    expect(
      seen([
        [0, 90],
        [9000, 90],
      ]).secondsLeft('a'),
    ).to.equal(null);
  });

  it('follows from the rate of the last minute', () => {
    expect(
      seen([
        [0, 0],
        [10_000, 100],
      ]).secondsLeft('a'),
    ).to.equal(90);
    const slower = [0, 1, 2, 3, 4, 5, 6, 7].map(
      (step) => [step * 20_000, step < 4 ? step * 100 : 300 + (step - 3) * 20] as const,
    );
    expect(seen(slower).bytesPerSecond).to.equal(1);
    expect(seen(slower).secondsLeft('a')).to.equal(620);
  });

  it('begins anew when a set has lost what was held', () => {
    expect(
      seen([
        [0, 500],
        [10_000, 0],
        [20_000, 100],
      ]).secondsLeft('a'),
    ).to.equal(90);
  });
});

describe('the rest of a link', () => {
  it('doubles with each failure up to a bound, and is short again after a good session', () => {
    const rest = new BackOff(STANDING_LINE, () => 0);
    const rests = [1, 2, 3, 4, 5, 6].map(() => rest.afterFailure(millis(0), true));
    expect(rests).to.deep.equal([500, 1000, 2000, 4000, 8000, 8000]);
    expect(rest.afterLoss(millis(0), 5000)).to.equal(8000);
    expect(rest.afterLoss(millis(0), 3_600_000)).to.equal(500);
    expect(rest.afterFailure(millis(0), true)).to.equal(1000);
    expect(rest.afterEnd(millis(0))).to.equal(500);
  });

  it('stays short for twenty attempts that find no line, which cost nothing, and after a session for as many again', () => {
    const rest = new BackOff(STANDING_LINE, () => 0);
    const without = (count: number): readonly number[] =>
      Array.from({ length: count }, () => rest.afterNoLine(millis(0), true));
    const soon = Array.from({ length: 20 }, () => 500);
    expect(without(23)).to.deep.equal([...soon, 500, 1000, 2000]);
    rest.afterLoss(millis(0), 3_600_000);
    expect(without(21)).to.deep.equal([...soon, 1000]);
    expect(rest.afterNoLine(millis(0), false)).to.equal(8000);
    expect(new BackOff(DIALLED_LINE, () => 0).afterNoLine(millis(0), true)).to.equal(2000);
  });

  it('is shorter by up to a quarter, by chance', () => {
    expect(new BackOff(STANDING_LINE, () => 0.5).afterFailure(millis(0), true)).to.equal(437.5);
  });

  it('is long where another attempt alone would not help', () => {
    expect(new BackOff(DIALLED_LINE, () => 0).afterFailure(millis(0), false)).to.equal(120_000);
  });
});
