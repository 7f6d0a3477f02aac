import { expect } from 'chai';
import { silentLog } from '../../../src/platform/log.js';
import type { WallTime } from '../../../protocol/units.js';
import { CronSchedule } from '../../../src/schedule/cron-schedule.js';
import { decide, SET_BACK_MS, type Decision, type ScheduleState } from '../../../src/schedule/policy.js';
import { RunRecords } from '../../../src/schedule/run-record.js';
import { ScheduleRunner } from '../../../src/schedule/runner.js';
import { MemoryFiles } from '../../support/memory-files.js';
import { settle, VirtualClock } from '../../support/virtual-clock.js';

const HOUR = 3_600_000;
const hourly = (after: number): number => (Math.floor(after / HOUR) + 1) * HOUR;

describe('what is due', () => {
  const TABLE: readonly {
    readonly situation: string;
    readonly state: ScheduleState;
    readonly now: number;
    readonly decision: Decision;
  }[] = [
    {
      situation: 'nothing yet',
      state: { dealtWith: 10 * HOUR, isRunning: false },
      now: 10.9 * HOUR,
      decision: { kind: 'wait', until: 11 * HOUR },
    },
    {
      situation: 'now',
      state: { dealtWith: 10 * HOUR, isRunning: false },
      now: 11 * HOUR,
      decision: { kind: 'run', due: 11 * HOUR, missed: false },
    },
    {
      situation: 'while the last one runs: left out',
      state: { dealtWith: 10 * HOUR, isRunning: true },
      now: 11 * HOUR,
      decision: { kind: 'skip', due: 11 * HOUR },
    },
    {
      situation: 'missed, several times: one run',
      state: { dealtWith: 10 * HOUR, isRunning: false },
      now: 15.5 * HOUR,
      decision: { kind: 'run', due: 11 * HOUR, missed: true },
    },
    {
      situation: 'the clock was put back a little: not a second time',
      state: { dealtWith: 11 * HOUR + 50, isRunning: false },
      now: 11 * HOUR - 1000,
      decision: { kind: 'wait', until: 12 * HOUR },
    },
    {
      situation: 'the clock was years ahead and is put right: the schedule goes on',
      state: { dealtWith: 10_000 * HOUR, isRunning: false },
      now: 11.5 * HOUR,
      decision: { kind: 'wait', until: 12 * HOUR },
    },
  ];
  for (const { situation, state, now, decision } of TABLE) {
    it(situation, () => {
      expect(decide(hourly, state, now)).to.deep.equal(decision);
    });
  }

  it('a clock put back by less than what counts as wrong', () => {
    const state = { dealtWith: 12 * HOUR, isRunning: false };
    expect(decide(hourly, state, 12 * HOUR - SET_BACK_MS)).to.deep.equal({ kind: 'wait', until: 13 * HOUR });
  });

  it('never, for a schedule without another date', () => {
    expect(decide(() => null, { dealtWith: 0, isRunning: false }, 5)).to.deep.equal({
      kind: 'wait',
      until: null,
    });
  });
});

describe('the runner of schedules', () => {
  let clock: VirtualClock;
  let files: MemoryFiles;
  let events: string[];
  let runner: ScheduleRunner | null;
  beforeEach(async () => {
    clock = new VirtualClock();
    files = new MemoryFiles();
    await files.makeFolder('/state');
    events = [];
    runner = null;
  });
  afterEach(async () => {
    await runner?.close();
    expect(clock.waiting, 'timers left').to.equal(0);
  });

  async function start(expression: string, run: (signal: AbortSignal) => Promise<string>): Promise<void> {
    runner = new ScheduleRunner({
      jobs: [{ name: 'ledger', schedule: new CronSchedule(expression, 'UTC'), run }],
      records: await RunRecords.open(files, '/state/schedule.json'),
      clock,
      log: silentLog,
      onEvent: (_level, text) => events.push(text),
    });
    runner.start();
    await settle();
  }
  const stop = async (): Promise<void> => {
    await runner?.close();
    runner = null;
  };

  it('runs a job whenever it is due, and remembers how that went', async () => {
    const times: WallTime[] = [];
    await start('*/10 * * * *', () => {
      times.push(clock.wall());
      return Promise.resolve('vault has it');
    });
    const began = clock.wall();
    await clock.pass(35 * 60_000);
    const wanted = [1, 2, 3].map((n) => (Math.floor(began / 600_000) + n) * 600_000);
    expect(times.length).to.be.within(3, 4);
    for (const [n, due] of wanted.entries()) expect(times[n]! - due, `run ${n}`).to.be.within(0, 50);
    const status = runner?.status('ledger');
    expect(status?.lastRun).to.equal(times.at(-1));
    expect(status?.lastOutcome).to.equal('vault has it');
    expect(status?.nextRun).to.be.greaterThan(clock.wall());
    expect(events).to.deep.equal([]);
  });

  it('leaves a run out while the one before is going on, and says so', async () => {
    let runs = 0;
    let release: (outcome: string) => void = () => undefined;
    await start('* * * * *', () => {
      runs++;
      return new Promise((resolve) => (release = resolve));
    });
    await clock.pass(3.5 * 60_000);
    expect(runs).to.equal(1);
    expect(events.length).to.be.within(2, 3);
    expect(events[0]).to.match(/^ledger: the run of .* is left out/);
    expect(runner?.status('ledger')?.isRunning).to.equal(true);
    release('done');
    await clock.pass(60_000);
    expect(runs).to.equal(2);
    release('done');
    await settle();
  });

  it('makes up for missed runs, once, after a restart', async () => {
    let runs = 0;
    const run = (): Promise<string> => Promise.resolve(`run ${++runs}`);
    await start('0 * * * *', run);
    await stop();
    await clock.pass(5 * HOUR);
    await start('0 * * * *', run);
    expect(runs).to.equal(1);
    expect(events).to.have.length(1);
    expect(events[0]).to.match(/was missed and is made up for now/);
    await stop();
    await start('0 * * * *', run);
    await clock.pass(60_000);
    expect(runs, 'made up for only once').to.be.lessThan(3);
    expect(events).to.have.length(1);
  });

  it('has missed nothing under a schedule that it did not have then', async () => {
    let runs = 0;
    const run = (): Promise<string> => Promise.resolve(`run ${++runs}`);
    await start('0 * * * *', run);
    await stop();
    await clock.pass(5 * HOUR);
    await start('59 23 31 12 *', run);
    await clock.pass(1000);
    expect(runs).to.equal(0);
  });

  it('goes on after a run that failed', async () => {
    let runs = 0;
    await start('* * * * *', () => {
      runs++;
      return Promise.reject(Object.assign(new Error('no tone'), { code: 'failed' }));
    });
    await clock.pass(2.2 * 60_000);
    expect(runs).to.be.within(2, 3);
    expect(runner?.status('ledger')?.lastOutcome).to.equal('failed: no tone');
    expect(events[0]).to.equal('ledger: the scheduled run has failed: no tone');
  });

  it('goes on although nothing can be noted', async () => {
    let runs = 0;
    await start('* * * * *', () => Promise.resolve(`run ${++runs}`));
    files.replace = () => Promise.reject(new Error('the disk is full'));
    await clock.pass(2.2 * 60_000);
    expect(runs).to.be.within(2, 3);
    expect(events[0]).to.match(/cannot be noted: the disk is full/);
  });

  it('breaks off what runs when it is closed', async () => {
    await start(
      '* * * * *',
      (signal) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason as Error));
        }),
    );
    await clock.pass(61_000);
    expect(runner?.status('ledger')?.isRunning).to.equal(true);
    await stop();
    const records = await RunRecords.open(files, '/state/schedule.json');
    expect(records.get('ledger')?.lastOutcome).to.match(/broken off/);
  });

  it('counts a record it cannot read as none', async () => {
    await files.replace('/state/schedule.json', Buffer.from('{"magic":'));
    let runs = 0;
    await start('* * * * *', () => Promise.resolve(`run ${++runs}`));
    await clock.pass(60_500);
    expect(runs).to.equal(1);
  });
});
