import type { Appliance, ApplianceOptions } from '../appliance/appliance.js';
import { jsonLog } from '../platform/log.js';
import type { CommandContext } from './context.js';

/** Starts an appliance and stops it cleanly when `context.stop` aborts; fails when it cannot go on by itself. */
export async function runAppliance(
  start: (options: ApplianceOptions) => Promise<Appliance>,
  context: CommandContext,
): Promise<void> {
  const { files, clock, random, stderr, stop } = context;
  const log = jsonLog(stderr);
  const appliance = await start({ files, clock, random, log });
  log.info('Ready.', { pid: process.pid });
  try {
    await Promise.race([appliance.finished, aborted(stop)]);
    log.info('Stopping.');
  } finally {
    await appliance.close();
  }
  log.info('Stopped.');
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
