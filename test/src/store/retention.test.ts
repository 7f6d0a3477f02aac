import { expect } from 'chai';
import fc from 'fast-check';
import { localCalendar, pointsToKeep, type Calendar, type KeepPolicy } from '../../../src/store/retention.js';
import { seedOfThisRun } from '../../support/seeded.js';

const NONE: KeepPolicy = { last: 0, hourly: 0, daily: 0, weekly: 0, monthly: 0 };
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** Points applied at these local times, oldest first as written; those kept, as written. */
function kept(
  policy: Partial<KeepPolicy>,
  times: readonly (string | number)[],
  calendar?: Calendar,
): string[] {
  const points = times.map((time) => ({ appliedAt: new Date(time).getTime(), time: String(time) })).reverse();
  const result = pointsToKeep(points, { ...NONE, ...policy }, calendar);
  return points
    .filter((point) => result.has(point))
    .map(({ time }) => time)
    .reverse();
}

/** Every `step` ms from `from`, `count` of them. */
const every = (step: number, from: string, count: number): number[] =>
  Array.from({ length: count }, (_, i) => new Date(from).getTime() + i * step);

describe('which restore points are kept', () => {
  const zone = process.env['TZ'];
  const inZone = (name: string): void => {
    process.env['TZ'] = name;
  };
  beforeEach(() => inZone('Europe/Berlin'));
  afterEach(() => {
    if (zone === undefined) delete process.env['TZ'];
    else process.env['TZ'] = zone;
  });

  const table: readonly (readonly [
    situation: string,
    policy: Partial<KeepPolicy>,
    times: readonly string[],
    wanted: readonly string[],
  ])[] = [
    [
      'the last two',
      { last: 2 },
      ['2026-01-01T10:00', '2026-01-02T10:00', '2026-01-03T10:00'],
      ['2026-01-02T10:00', '2026-01-03T10:00'],
    ],
    ['fewer than there may be', { last: 5 }, ['2026-01-01T10:00'], ['2026-01-01T10:00']],
    [
      'the newest point of a day',
      { daily: 2 },
      ['2026-01-01T10:00', '2026-01-01T23:59', '2026-01-02T00:00', '2026-01-02T08:00'],
      ['2026-01-01T23:59', '2026-01-02T08:00'],
    ],
    [
      'days that have a point, however far apart',
      { daily: 3 },
      ['2025-03-01T10:00', '2025-11-01T10:00', '2026-01-01T10:00', '2026-01-02T10:00'],
      ['2025-11-01T10:00', '2026-01-01T10:00', '2026-01-02T10:00'],
    ],
    [
      'hours',
      { hourly: 2 },
      ['2026-01-01T10:10', '2026-01-01T10:59', '2026-01-01T11:00', '2026-01-01T13:30'],
      ['2026-01-01T11:00', '2026-01-01T13:30'],
    ],
    [
      'weeks from Monday to Sunday',
      { weekly: 2 },
      ['2026-01-04T12:00', '2026-01-05T00:00', '2026-01-11T23:59', '2026-01-12T00:01'],
      ['2026-01-11T23:59', '2026-01-12T00:01'],
    ],
    [
      'a week that lies in two years',
      { weekly: 2 },
      ['2025-12-28T12:00', '2025-12-29T12:00', '2026-01-04T12:00'],
      ['2025-12-28T12:00', '2026-01-04T12:00'],
    ],
    [
      'months',
      { monthly: 2 },
      ['2025-11-30T12:00', '2025-12-01T00:00', '2025-12-31T23:59', '2026-01-01T00:00'],
      ['2025-12-31T23:59', '2026-01-01T00:00'],
    ],
    [
      'kinds together, a point serving several',
      { last: 1, daily: 2, monthly: 2 },
      ['2025-12-31T12:00', '2026-01-01T12:00', '2026-01-02T09:00', '2026-01-02T12:00'],
      ['2025-12-31T12:00', '2026-01-01T12:00', '2026-01-02T12:00'],
    ],
    ['the newest always', { monthly: 1 }, ['2026-01-01T12:00', '2026-01-02T12:00'], ['2026-01-02T12:00']],
    ['nothing of nothing', { last: 3 }, [], []],
  ];
  for (const [situation, policy, times, wanted] of table) {
    it(situation, () => {
      expect(kept(policy, times)).to.deep.equal(wanted);
    });
  }

  it('every point without a policy', () => {
    const points = every(DAY, '2020-01-01T00:00Z', 1000).map((appliedAt) => ({ appliedAt }));
    expect(pointsToKeep(points, null).size).to.equal(1000);
  });

  it('a night that has one hour twice: both, as hours; one day', () => {
    // 25 October 2026: 02:00 to 03:00 comes twice in Berlin.
    const times = every(HOUR / 2, '2026-10-24T22:00Z', 8);
    expect(times.map((time) => new Date(time).getHours())).to.deep.equal([0, 0, 1, 1, 2, 2, 2, 2]);
    expect(kept({ hourly: 3 }, times)).to.deep.equal([times[3], times[5], times[7]].map(String));
    expect(kept({ daily: 2 }, times)).to.deep.equal([String(times[7])]);
  });

  it('a night that lacks an hour: the hours that were', () => {
    // 29 March 2026: after 01:59 comes 03:00 in Berlin.
    const times = every(HOUR, '2026-03-28T23:30Z', 4);
    expect(times.map((time) => new Date(time).getHours())).to.deep.equal([0, 1, 3, 4]);
    expect(kept({ hourly: 3 }, times)).to.deep.equal(times.slice(1).map(String));
  });

  it('days of 23 and of 25 hours are days', () => {
    for (const month of ['03', '10']) {
      const times = every(6 * HOUR, `2026-${month}-20T12:00Z`, 80);
      const dates = new Set(times.map((time) => new Date(time).toDateString()));
      expect(kept({ daily: 100 }, times)).to.have.length(dates.size);
    }
  });

  it('the same points are other days elsewhere', () => {
    const times = ['2026-01-01T22:30Z', '2026-01-01T23:30Z'];
    expect(kept({ daily: 5 }, times)).to.have.length(2);
    inZone('UTC');
    expect(kept({ daily: 5 }, times)).to.deep.equal(times.slice(1));
    inZone('America/New_York');
    expect(localCalendar(Date.parse('2026-01-01T03:00Z'))).to.deep.include({ hour: 22, offset: -300 });
  });

  it('a clock that jumps ahead for a day and back costs a period, not the points', () => {
    const policy = { last: 3, daily: 7, weekly: 4, monthly: 12 };
    const before = every(DAY, '2026-01-01T12:00', 60);
    const wrong = every(HOUR, '2038-06-01T12:00', 5);
    const after = every(DAY, '2026-03-02T12:00', 2);
    const lost = (times: readonly number[]): string[] => {
      const withJump = kept(policy, times);
      return kept(
        policy,
        times.filter((time) => !wrong.includes(time)),
      ).filter((time) => !withJump.includes(time));
    };
    // Of the wrong times: the last three, as the last, and one day, week and month.
    expect(lost([...before, ...wrong])).to.have.length.at.most(3);
    expect(lost([...before, ...wrong, ...after])).to.have.length.at.most(3);
  });

  it('a clock that starts anew at each power-up keeps the newest, by the order of the applies', () => {
    const times = [0, 1, 2].flatMap(() => every(HOUR, '1970-01-01T00:00Z', 3));
    const points = times.map((appliedAt, i) => ({ appliedAt, i })).reverse();
    const result = pointsToKeep(points, { ...NONE, last: 2, daily: 7 });
    expect([...result].map(({ i }) => i)).to.deep.equal([8, 7]);
  });

  const seed = seedOfThisRun();
  it(`never fewer than asked for, never an older one of the same period; pruning again changes nothing (SEED=${seed})`, () => {
    const some = fc.nat(5);
    const policies = fc.record({ last: some, hourly: some, daily: some, weekly: some, monthly: some });
    const times = fc.array(fc.integer({ min: 0, max: 4_000_000_000_000 }), { maxLength: 60 });
    fc.assert(
      fc.property(policies, times, (policy, list) => {
        const points = list.map((appliedAt) => ({ appliedAt }));
        const result = pointsToKeep(points, policy);
        for (const point of points.slice(0, policy.last)) expect(result.has(point)).to.equal(true);
        if (points[0] !== undefined) expect(result.has(points[0])).to.equal(true);
        const left = points.filter((point) => result.has(point));
        expect(pointsToKeep(left, policy).size).to.equal(left.length);
        const bound = Object.values(policy).reduce((sum, count) => sum + count, 0);
        expect(left.length).to.be.at.most(Math.max(1, bound));
      }),
      { seed, numRuns: 500 },
    );
  });
});
