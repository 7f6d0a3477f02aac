import { expect } from 'chai';
import { createTask, validate } from 'node-cron';
import { CronSchedule } from '../../../src/schedule/cron-schedule.js';
import { Seeded, seedOfThisRun } from '../../support/seeded.js';

const iso = (time: number | null): string | null => (time === null ? null : new Date(time).toISOString());

/** The next few due times after an instant. */
function dueAfter(expression: string, zone: string, after: string, count: number): (string | null)[] {
  const schedule = new CronSchedule(expression, zone);
  const found: (string | null)[] = [];
  for (let at: number | null = Date.parse(after); found.length < count && at !== null;) {
    at = schedule.next(at);
    found.push(iso(at));
  }
  return found;
}

const TABLE: readonly {
  readonly situation: string;
  readonly cron: string;
  readonly zone: string;
  readonly after: string;
  readonly due: readonly (string | null)[];
}[] = [
  {
    situation: 'every hour',
    cron: '0 * * * *',
    zone: 'UTC',
    after: '2026-11-22T14:00:00Z',
    due: ['2026-11-22T15:00:00.000Z', '2026-11-22T16:00:00.000Z'],
  },
  {
    situation: 'an instant within a second before',
    cron: '0 * * * *',
    zone: 'UTC',
    after: '2026-11-22T13:59:59.999Z',
    due: ['2026-11-22T14:00:00.000Z'],
  },
  {
    situation: 'seconds, in six fields',
    cron: '*/20 59 23 * * *',
    zone: 'UTC',
    after: '2026-12-31T23:59:21Z',
    due: ['2026-12-31T23:59:40.000Z', '2027-01-01T23:59:00.000Z'],
  },
  {
    situation: 'weekdays at half past six in Tokyo',
    cron: '30 6 * * 1-5',
    zone: 'Asia/Tokyo',
    after: '2026-11-19T21:30:00Z',
    due: ['2026-11-22T21:30:00.000Z', '2026-11-23T21:30:00.000Z'],
  },
  {
    situation: 'a zone with a quarter of an hour',
    cron: '0 12 * * *',
    zone: 'Asia/Kathmandu',
    after: '2026-11-22T00:00:00Z',
    due: ['2026-11-22T06:15:00.000Z'],
  },
  {
    situation: 'the last day of the month',
    cron: '0 0 L * *',
    zone: 'UTC',
    after: '2027-01-31T00:00:00Z',
    due: ['2027-02-28T00:00:00.000Z', '2027-03-31T00:00:00.000Z'],
  },
  {
    situation: 'the 29th of February',
    cron: '0 5 29 2 *',
    zone: 'UTC',
    after: '2096-03-01T00:00:00Z',
    due: ['2104-02-29T05:00:00.000Z'],
  },
  {
    situation: 'a day that does not come in nine years: a Monday the 29th of February',
    cron: '0 5 29 2 1',
    zone: 'UTC',
    after: '2026-01-01T00:00:00Z',
    due: [null],
  },
  {
    situation: 'clocks put forward: a time that does not come is due after the gap, once',
    cron: '*/20 2 * * *',
    zone: 'Europe/Berlin',
    after: '2026-03-28T01:40:00Z',
    due: ['2026-03-29T01:00:00.000Z', '2026-03-30T00:00:00.000Z'],
  },
  {
    situation: 'clocks put forward: every hour is every hour',
    cron: '30 * * * *',
    zone: 'Europe/Berlin',
    after: '2026-03-29T00:00:00Z',
    due: ['2026-03-29T00:30:00.000Z', '2026-03-29T01:30:00.000Z'],
  },
  {
    situation: 'clocks put back: a time that comes twice is due the first time',
    cron: '30 2 * * *',
    zone: 'Europe/Berlin',
    after: '2026-10-24T12:00:00Z',
    due: ['2026-10-25T00:30:00.000Z', '2026-10-26T01:30:00.000Z'],
  },
  {
    situation: 'clocks put back: every hour is every hour',
    cron: '30 * * * *',
    zone: 'Europe/Berlin',
    after: '2026-10-25T00:00:00Z',
    due: ['2026-10-25T00:30:00.000Z', '2026-10-25T01:30:00.000Z', '2026-10-25T02:30:00.000Z'],
  },
  {
    situation: 'half an hour back on Lord Howe Island',
    cron: '45 1 * * *',
    zone: 'Australia/Lord_Howe',
    after: '2026-04-03T12:00:00Z',
    due: ['2026-04-03T14:45:00.000Z', '2026-04-04T14:45:00.000Z', '2026-04-05T15:15:00.000Z'],
  },
  {
    situation: 'midnight where clocks are put forward at midnight',
    cron: '0 0 * * *',
    zone: 'Africa/Cairo',
    after: '2026-04-23T12:00:00Z',
    due: ['2026-04-23T22:00:00.000Z', '2026-04-24T21:00:00.000Z'],
  },
];

describe('a cron schedule', () => {
  for (const { situation, cron, zone, after, due } of TABLE) {
    it(`${situation}: ${cron}`, () => {
      expect(dueAfter(cron, zone, after, due.length)).to.deep.equal(due);
    });
  }

  it('agrees with node-cron, instant by instant, wherever no clock is changed', () => {
    const seed = seedOfThisRun();
    console.log(`      SEED=${seed}`);
    const random = new Seeded(seed);
    const pick = (values: readonly string[]): string => values[random.below(values.length)] ?? '*';
    for (let round = 0; round < 60; round++) {
      const cron = [
        pick(['0', '*/7', '13,14', '5-8']),
        pick(['*', '3', '*/5', '22']),
        pick(['*', '1-20', 'L', '31']),
        pick(['*', '2', '6-9']),
        pick(['*', '1', '5L', '2#1', '0,6']),
      ].join(' ');
      const zone = pick(['UTC', 'Asia/Tokyo', 'Asia/Kolkata']);
      if (!validate(cron)) continue;
      const schedule = new CronSchedule(cron, zone);
      const task = createTask(cron, () => undefined, { timezone: zone });
      const after = Date.UTC(2026, 0, 1) + random.below(365 * 86_400) * 1000;
      const next = schedule.next(after);
      const window = 3 * 1440;
      let first: number | null = null;
      for (let minute = 0; minute < window && first === null; minute++) {
        const at = Math.floor(after / 60_000) * 60_000 + (minute + 1) * 60_000;
        if (task.match(new Date(at))) first = at;
      }
      if (first !== null) expect(iso(next), `${cron} in ${zone} after ${iso(after)}`).to.equal(iso(first));
      else expect(next === null || next > after + (window - 1) * 60_000, `${cron} ${zone}`).to.equal(true);
    }
  });
});
