import type { LinkStatus } from '../appliance/status.js';
import type { Configuration } from '../config/configuration.js';
import type { Clock } from '../platform/clock.js';
import type { Files } from '../platform/files.js';
import { checkClock, checkFolder, checkKeys } from './files-check.js';
import { ok, type Finding } from './finding.js';
import { checkPorts, linksOf } from './links-check.js';
import { checkVolumes } from './volume-check.js';

export interface Surgery {
  readonly files: Files;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** What the running appliance says of its links; null: none is running. */
  readonly running: readonly LinkStatus[] | null;
}

/** Looks at all that an appliance of this configuration needs, and changes nothing. */
export async function examine(
  configuration: Configuration,
  { files, clock, signal, running }: Surgery,
): Promise<readonly Finding[]> {
  const { role, name, file, state } = configuration;
  const isRunning = running !== null;
  return [
    ok('configuration', `${file}: the ${role} ${name}${isRunning ? ', which is running' : ''}`),
    ...(await checkKeys(configuration, files)),
    await checkClock(configuration, clock),
    ...(configuration.role === 'primary'
      ? [
          await checkFolder('state', state, configuration.beforeImages.budgetBytes, 'before-images'),
          ...(await checkVolumes(configuration, files, isRunning)),
        ]
      : [
          await checkFolder('state', state, 0, 'the state'),
          await checkFolder('store', configuration.store, 0, 'the copies'),
        ]),
    ...(isRunning ? linksOf(running) : await checkPorts(configuration, clock, signal)),
  ];
}
