import type { PrimaryConfiguration } from '../config/configuration.js';
import { RunRecords } from '../schedule/run-record.js';
import { ScheduleRunner, type JobStatus } from '../schedule/runner.js';
import type { ApplianceOptions } from './appliance.js';
import type { BackupPeer } from './backup-peer.js';
import type { EventLog } from './event-log.js';
import { leaders, type ProtectedVolume } from './protected-volumes.js';
import { volumeJob } from './scheduled-runs.js';

/** The scheduled snapshots of a primary's volumes; can be started again with others. */
export class VolumeSchedule {
  #runner: ScheduleRunner | null = null;

  constructor(
    readonly file: string,
    readonly volumes: readonly ProtectedVolume[],
    readonly peers: readonly BackupPeer[],
    readonly events: EventLog,
    readonly options: ApplianceOptions,
  ) {}

  async start(configuration: PrimaryConfiguration): Promise<void> {
    const { files, clock, log } = this.options;
    const jobs = leaders(this.volumes).flatMap((volume) => {
      const schedule = configuration.volumes.find(({ name }) => name === volume.name)?.schedule ?? null;
      return schedule === null ? [] : [volumeJob(volume, schedule, this.peers, clock)];
    });
    this.#runner = new ScheduleRunner({
      jobs,
      records: await RunRecords.open(files, this.file),
      clock,
      log,
      onEvent: (level, text) => this.events.add(level, text),
    });
    this.#runner.start();
  }

  status(name: string): JobStatus | null {
    return this.#runner?.status(name) ?? null;
  }

  /** Breaks off what runs and waits for its end. */
  async close(): Promise<void> {
    await this.#runner?.close();
    this.#runner = null;
  }
}
