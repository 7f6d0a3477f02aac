import { expect } from 'chai';
import { ApplianceError } from '../../../src/appliance/errors.js';
import { selectPoint } from '../../../src/control/select-point.js';

const POINTS = [
  { id: `aaaaaaaa1${'0'.repeat(23)}`, time: '2026-11-22T18:00:00.000Z' },
  { id: `aaaaaaaa2${'0'.repeat(23)}`, time: '2026-11-21T18:00:00.000Z' },
  { id: `20261120${'0'.repeat(24)}`, time: '2026-11-20T18:00:00.000Z' },
];

const codeOf = (at: string | undefined, points = POINTS): string => {
  try {
    selectPoint(points, at);
    return 'found';
  } catch (error) {
    return error instanceof ApplianceError ? error.code : String(error);
  }
};

describe('the point that --at means', () => {
  const zone = process.env['TZ'];
  before(() => {
    process.env['TZ'] = 'America/New_York';
  });
  after(() => {
    if (zone === undefined) delete process.env['TZ'];
    else process.env['TZ'] = zone;
  });

  const cases: readonly (readonly [string | undefined, number, string])[] = [
    [undefined, 0, 'nothing given: the newest'],
    [POINTS[1]!.id, 1, 'a whole id'],
    ['AAAAAAAA2', 1, 'the beginning of an id, in capitals'],
    ['20261120', 2, 'digits that look like a date are an id'],
    ['2026-11-22T18:00:00Z', 0, 'exactly its time'],
    ['2026-11-22T17:59:59.999Z', 1, 'a millisecond before: the one before'],
    ['2026-11-22T19:00+02:00', 1, 'a time with a zone'],
    ['2026-11-22T20:00+0100', 0, 'a zone without a colon'],
    ['2026-11-22T13:00', 0, 'a time without a zone is local'],
    ['2026-11-22 12:59:59', 1, 'the same with a space'],
    ['2026-11-22', 1, 'a date alone is its local midnight'],
    ['2030-01-01', 0, 'the future: the newest'],
  ];
  for (const [at, index, what] of cases) {
    it(what, () => {
      expect(selectPoint(POINTS, at)).to.equal(POINTS[index]);
    });
  }

  it('is refused where it means none, several, or nothing', () => {
    expect(codeOf('2026-11-20T17:59Z')).to.equal('unknown-point');
    expect(codeOf('bbbbbbbb')).to.equal('unknown-point');
    expect(codeOf('aaaaaaaa')).to.equal('ambiguous');
    expect(codeOf('aaaaaaa')).to.equal('unknown-point');
    expect(codeOf('yesterday')).to.equal('unknown-point');
    expect(codeOf('2026-13-01')).to.equal('unknown-point');
    expect(codeOf(undefined, [])).to.equal('unknown-point');
  });

  it('is by time the newest one, also where a clock was set back between two points', () => {
    const points = [POINTS[1]!, POINTS[0]!, POINTS[2]!];
    expect(selectPoint(points, '2026-11-23')).to.equal(POINTS[0]);
    expect(selectPoint(points)).to.equal(POINTS[1]);
  });
});
