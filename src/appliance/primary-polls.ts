import { join } from 'node:path';
import type { BackupConfiguration, CallLink } from '../config/configuration.js';
import { CronSchedule } from '../schedule/cron-schedule.js';
import { RunRecords } from '../schedule/run-record.js';
import { ScheduleRunner, type JobStatus } from '../schedule/runner.js';
import { PortShare } from '../transport/modem/port-share.js';
import type { ApplianceOptions } from './appliance.js';
import type { BackupSite } from './backup-site.js';
import { CallRecord } from './call-budget.js';
import type { EventLog } from './event-log.js';
import { peerLink } from './peer-link.js';
import type { LinkMeter } from './link-meter.js';
import type { PortRegistry } from './port-registry.js';
import { PrimaryPoll } from './primary-poll.js';

/** The polls of a backup: each primary when its schedule says so, those that share a port one after the other. */
export class PrimaryPolls {
  readonly #polls: ReadonlyMap<string, PrimaryPoll>;
  readonly #runner: ScheduleRunner;

  private constructor(polls: ReadonlyMap<string, PrimaryPoll>, runner: ScheduleRunner) {
    this.#polls = polls;
    this.#runner = runner;
  }

  static async start(
    configuration: BackupConfiguration,
    site: BackupSite,
    registry: PortRegistry,
    events: EventLog,
    { clock, files, log }: ApplianceOptions,
  ): Promise<PrimaryPolls> {
    const turns = new Map<string, PortShare>();
    const turnOf = (device: string): PortShare => {
      const turn = turns.get(device) ?? new PortShare();
      turns.set(device, turn);
      return turn;
    };
    const calls = await CallRecord.open(files, join(configuration.state, 'calls.json'));
    const polls = new Map<string, PrimaryPoll>();
    const jobs = configuration.primaries.flatMap(({ name, publicKey, poll }) => {
      if (poll === null) return [];
      const primary = new PrimaryPoll({
        primary: name,
        publicKey,
        links: poll.links.map((link) => peerLink(name, link, registry, calls)),
        turns: devicesOf(poll.links).map(turnOf),
        site,
        clock,
        log: log.child({ primary: name }),
        events,
      });
      polls.set(name, primary);
      const schedule = new CronSchedule(poll.schedule);
      return [{ name: pollName(name), schedule, run: (signal: AbortSignal) => primary.run(signal) }];
    });
    const records = await RunRecords.open(files, join(configuration.state, 'polls.json'));
    const runner = new ScheduleRunner({
      jobs,
      records,
      clock,
      log,
      onEvent: (level, text) => events.add(level, text),
    });
    for (const poll of polls.values()) poll.start();
    runner.start();
    return new PrimaryPolls(polls, runner);
  }

  get meters(): readonly LinkMeter[] {
    return [...this.#polls.values()].flatMap(({ meters }) => meters);
  }

  /** null: this primary is not polled. */
  status(primary: string): JobStatus | null {
    return this.#runner.status(pollName(primary));
  }

  /** Returns how many calls were ended. */
  hangUp(link?: string): boolean {
    return [...this.#polls.values()].filter((poll) => poll.hangUp(link)).length > 0;
  }

  async close(): Promise<void> {
    await this.#runner.close();
    await Promise.all([...this.#polls.values()].map((poll) => poll.close()));
  }
}

const pollName = (primary: string): string => `poll of ${primary}`;

/** In one order for all, so that two polls never wait for each other. */
const devicesOf = (links: readonly CallLink[]): readonly string[] =>
  [...new Set(links.flatMap((link) => (link.type === 'tcp' ? [] : [link.device])))].sort();
