import { join } from 'node:path';
import type { BackupConfiguration } from '../config/configuration.js';
import type { StoredPoints } from '../control/stored-points.js';
import { CronSchedule } from '../schedule/cron-schedule.js';
import { RunRecords } from '../schedule/run-record.js';
import { ScheduleRunner } from '../schedule/runner.js';
import type { Store } from '../store/store.js';
import type { ApplianceOptions } from './appliance.js';
import type { EventLog } from './event-log.js';

/** Drills the newest point of each volume of a primary when its schedule says so. */
export async function startDrills(
  { primaries, state }: BackupConfiguration,
  store: Store,
  points: StoredPoints,
  events: EventLog,
  { files, clock, log }: Pick<ApplianceOptions, 'files' | 'clock' | 'log'>,
): Promise<ScheduleRunner> {
  const jobs = primaries.flatMap(({ name, drill }) =>
    drill === null
      ? []
      : [
          {
            name: `drill of ${name}`,
            schedule: new CronSchedule(drill.schedule),
            run: (signal: AbortSignal) => drillAll(name, store, points, events, signal),
          },
        ],
  );
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
  const copies = store.volumes().filter(({ primary, state }) => primary === name && state !== null);
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
