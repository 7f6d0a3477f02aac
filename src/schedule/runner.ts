import { sleep, type Clock } from '../platform/clock.js';
import type { Log } from '../platform/log.js';
import type { CronSchedule } from './cron-schedule.js';
import { decide } from './policy.js';
import type { RunRecord, RunRecords } from './run-record.js';

export interface Job {
  /** Under which its record is kept; unique. */
  readonly name: string;
  readonly schedule: CronSchedule;
  /** Does the work; resolves with how it ended, in a few words. Rejects when it failed, or with the signal's reason. */
  readonly run: (signal: AbortSignal) => Promise<string>;
}

export interface ScheduleRunnerOptions {
  readonly jobs: readonly Job[];
  readonly records: RunRecords;
  readonly clock: Clock;
  readonly log: Log;
  readonly onEvent: (level: 'info' | 'warning' | 'error', text: string) => void;
}

/** How a job stands; times in ms since 1970. */
export interface JobStatus {
  readonly expression: string;
  readonly nextRun: number | null;
  readonly lastRun: number | null;
  /** null while the first run is going on, or none was. */
  readonly lastOutcome: string | null;
  readonly isRunning: boolean;
}

/** The wall clock may jump, and the machine may sleep: it is looked at this often at the least. */
const LOOK_EVERY_MS = 20_000;

/** Runs jobs when they are due, as `policy.ts` says. */
export class ScheduleRunner {
  readonly #jobs: ReadonlyMap<string, RunningJob>;

  constructor(options: ScheduleRunnerOptions) {
    this.#jobs = new Map(options.jobs.map((job) => [job.name, new RunningJob(job, options)]));
  }

  start(): void {
    for (const job of this.#jobs.values()) job.start();
  }

  status(name: string): JobStatus | null {
    return this.#jobs.get(name)?.status ?? null;
  }

  /** Breaks off what runs and waits for its end. */
  async close(): Promise<void> {
    await Promise.all([...this.#jobs.values()].map((job) => job.close()));
  }
}

class RunningJob {
  readonly #job: Job;
  readonly #options: ScheduleRunnerOptions;
  readonly #stop = new AbortController();
  #record: RunRecord;
  #watching: Promise<void> = Promise.resolve();
  #running: Promise<void> | null = null;
  #nextRun: number | null = null;

  constructor(job: Job, options: ScheduleRunnerOptions) {
    this.#job = job;
    this.#options = options;
    const now = options.clock.wall();
    const { expression } = job.schedule;
    const known = options.records.get(job.name) ?? {
      expression: '',
      dealtWith: now,
      lastRun: null,
      lastOutcome: null,
    };
    // A job that is new, or has got another expression, has missed nothing.
    this.#record = known.expression === expression ? known : { ...known, expression, dealtWith: now };
    this.#nextRun = job.schedule.next(now);
  }

  get status(): JobStatus {
    const { lastRun, lastOutcome } = this.#record;
    return {
      expression: this.#job.schedule.expression,
      nextRun: this.#nextRun,
      lastRun,
      lastOutcome,
      isRunning: this.#running !== null,
    };
  }

  start(): void {
    this.#watching = this.#watch().catch((error: unknown) => {
      if (!this.#stop.signal.aborted) this.#options.log.error('A schedule has stopped.', { err: error });
    });
  }

  async close(): Promise<void> {
    this.#stop.abort(new Error('the schedule is stopped'));
    await this.#watching;
    await this.#running;
  }

  async #watch(): Promise<void> {
    const { clock } = this.#options;
    if (this.#options.records.get(this.#job.name) !== this.#record) await this.#remember(this.#record);
    while (!this.#stop.signal.aborted) {
      const waitMs = this.#look();
      await sleep(clock, Math.min(waitMs, LOOK_EVERY_MS), this.#stop.signal).catch(() => undefined);
    }
  }

  /** Does what is due; how long nothing will be, in ms. */
  #look(): number {
    const { clock, onEvent } = this.#options;
    const { schedule, name } = this.#job;
    const now = clock.wall();
    const state = { dealtWith: this.#record.dealtWith, isRunning: this.#running !== null };
    const decision = decide((after) => schedule.next(after), state, now);
    if (decision.kind === 'wait') {
      this.#nextRun = decision.until;
      return decision.until === null ? Infinity : decision.until - now;
    }
    const due = new Date(decision.due).toISOString();
    this.#nextRun = schedule.next(now);
    if (decision.kind === 'skip') {
      onEvent('warning', `${name}: the run of ${due} is left out, the one before is still going on`);
      void this.#remember({ ...this.#record, dealtWith: now });
    } else {
      if (decision.missed) onEvent('warning', `${name}: the run of ${due} was missed and is made up for now`);
      this.#running = this.#run(now).finally(() => (this.#running = null));
    }
    return 0;
  }

  async #run(now: number): Promise<void> {
    const { onEvent, log } = this.#options;
    const { name } = this.#job;
    await this.#remember({ ...this.#record, dealtWith: now, lastRun: now, lastOutcome: null });
    try {
      await this.#remember({ ...this.#record, lastOutcome: await this.#job.run(this.#stop.signal) });
    } catch (error) {
      if (this.#stop.signal.aborted) {
        await this.#remember({ ...this.#record, lastOutcome: 'broken off, farcopy was stopped' });
        return;
      }
      const { message } = error as Error;
      if (!(error instanceof Error && 'code' in error))
        log.error('A scheduled run has failed.', { err: error });
      onEvent('error', `${name}: the scheduled run has failed: ${message}`);
      await this.#remember({ ...this.#record, lastOutcome: `failed: ${message}` });
    }
  }

  /** What cannot be kept counts until the process ends; a run may then be made up for twice. */
  async #remember(record: RunRecord): Promise<void> {
    const isRun = record.dealtWith !== this.#record.dealtWith;
    this.#record = record;
    try {
      await this.#options.records.set(this.#job.name, record);
    } catch (error) {
      const text = `${this.#job.name}: the time of the run cannot be noted: ${(error as Error).message}`;
      if (isRun) this.#options.onEvent('warning', text);
    }
  }
}
