import type { ApplianceControl } from '../control/appliance-control.js';
import { ControlServer } from '../control/server.js';
import type { Clock } from '../platform/clock.js';
import type { Files } from '../platform/files.js';
import { jsonLog, type Log } from '../platform/log.js';
import type { Random } from '../platform/random.js';
import type { CommandContext } from './context.js';

/** What an appliance is started with. */
export interface ApplianceOptions {
  readonly files: Files;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** An appliance whose volumes are served and whose links are tried. */
export interface RunningAppliance {
  readonly control: ApplianceControl;
  /** Stops it cleanly. */
  close(): Promise<void>;
  /** Settles when it has ended, rejects if something it cannot live without failed. */
  readonly finished: Promise<void>;
}

/**
 * Starts an appliance, serves its control socket at `controlPath`, and stops both when `context.stop` aborts. The
 * control socket comes last and goes first: who gets an answer there talks to an appliance that is whole.
 */
export async function runAppliance(
  start: (options: ApplianceOptions) => Promise<RunningAppliance>,
  controlPath: string,
  context: CommandContext,
): Promise<void> {
  const { files, clock, random, stderr, stop } = context;
  const log = jsonLog(stderr);
  const appliance = await start({ files, clock, random, log });
  try {
    const server = await ControlServer.listen(controlPath, appliance.control, log);
    log.info('Ready.', { control: controlPath, pid: process.pid });
    try {
      await Promise.race([appliance.finished, aborted(stop)]);
    } finally {
      log.info('Stopping.');
      await server.close();
    }
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
