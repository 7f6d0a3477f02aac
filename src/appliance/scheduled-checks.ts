import { join } from 'node:path';
import type { BackupConfiguration } from '../config/configuration.js';
import type { StoredPoints } from '../control/stored-points.js';
import { CronSchedule } from '../schedule/cron-schedule.js';
import { RunRecords } from '../schedule/run-record.js';
import { ScheduleRunner, type Job } from '../schedule/runner.js';
import type { Store } from '../store/store.js';
import type { VolumeStoreStatus } from '../store/volume-store.js';
import type { ApplianceOptions } from './appliance.js';
import type { EventLog } from './event-log.js';

/** Drills the newest point of each volume of a primary, and scrubs its copies, when their schedules say so. */
export async function startChecks(
  { primaries, state }: BackupConfiguration,
  store: Store,
  points: StoredPoints,
  events: EventLog,
  { files, clock, log }: Pick<ApplianceOptions, 'files' | 'clock' | 'log'>,
): Promise<ScheduleRunner> {
  const jobs = primaries.flatMap(({ name, drill, scrub }): Job[] => [
    ...(drill === null
      ? []
      : [
          {
            name: `drill of ${name}`,
            schedule: new CronSchedule(drill.schedule),
            run: (signal: AbortSignal) => drillAll(name, store, points, events, signal),
          },
        ]),
    ...(scrub === null
      ? []
      : [
          {
            name: `scrub of ${name}`,
            schedule: new CronSchedule(scrub.schedule),
            run: (signal: AbortSignal) => scrubAll(name, scrub.bytesPerSecond, store, points, signal),
          },
        ]),
  ]);
  const runner = new ScheduleRunner({
    jobs,
    records: await RunRecords.open(files, join(state, 'drill-runs.json')),
    clock,
    log,
    onEvent: (level, text) => events.add(level, text),
  });
  runner.start();
  return runner;
}

async function drillAll(
  name: string,
  store: Store,
  points: StoredPoints,
  events: EventLog,
  signal: AbortSignal,
): Promise<string> {
  let passed = 0;
  const copies = copiesOf(name, store);
  for (const { volume } of copies) {
    const result = await points.drill({ volume: `${name}/${volume}` }, { signal, progress: () => undefined });
    if (result.passed) passed++;
    else
      events.add(
        'error',
        `${name}/${volume}: the drill of state ${result.state.slice(0, 8)} has failed: ${result.trouble ?? ''}`,
      );
  }
  return `${passed} of ${copies.length} passed`;
}

/** What is found is told where all scrubs are (`StoredPointsOptions.onScrubbed`). */
async function scrubAll(
  name: string,
  bytesPerSecond: number | null,
  store: Store,
  points: StoredPoints,
  signal: AbortSignal,
): Promise<string> {
  let clean = 0;
  const copies = copiesOf(name, store);
  for (const { volume } of copies) {
    const request = {
      volume: `${name}/${volume}`,
      ...(bytesPerSecond !== null && { bytesPerSecond }),
    };
    const { passed } = await points.scrub(request, { signal, progress: () => undefined });
    if (passed) clean++;
  }
  return `${clean} of ${copies.length} clean`;
}

const copiesOf = (name: string, store: Store): readonly VolumeStoreStatus[] =>
  store.volumes().filter(({ primary, state }) => primary === name && state !== null);
