import { Option } from 'commander';
import { join } from 'node:path';
import type { Appliance, ApplianceOptions } from '../appliance/appliance.js';
import type { Configuration } from '../config/configuration.js';
import { jsonLog, LOG_LEVELS, type Log, type LogLevel } from '../platform/log.js';
import type { CommandContext } from './context.js';
import { LogFile } from './log-file.js';
import { requireTerminal, terminalSession } from './terminal-session.js';

/** What both appliances are told on the command line. */
export interface RunOptions {
  readonly headless?: boolean;
  readonly logLevel: LogLevel;
}

export const logLevelOption = (): Option =>
  new Option('--log-level <level>', 'how much goes into the log; debug has what is said to modems')
    .choices(LOG_LEVELS)
    .default('info');

type Start = (options: ApplianceOptions) => Promise<Appliance>;
/** Reads the configuration again. */
type Load = () => Promise<Configuration>;

/**
 * Runs an appliance until it is told to stop, with the terminal UI where there is a terminal and `headless` is not
 * asked for, else with JSON log lines on stderr. Fails when the appliance cannot go on by itself.
 */
export async function runAppliance(
  start: Start,
  configuration: Configuration,
  load: Load,
  { headless, logLevel }: RunOptions,
  context: CommandContext,
): Promise<void> {
  if (headless === true || context.interactive !== true) await runHeadless(start, load, logLevel, context);
  else await runOnTerminal(start, configuration, logLevel, context);
}

/** SIGHUP means here: read the configuration again. (On a terminal it means that the terminal is gone.) */
async function runHeadless(
  start: Start,
  load: Load,
  level: LogLevel,
  context: CommandContext,
): Promise<void> {
  const log = jsonLog(context.stderr, level);
  let onHangUp = (): void => undefined;
  // What comes before it is ready finds the configuration that has just been read.
  context.onHangUp?.(() => onHangUp());
  await run(start, log, context, (appliance) => {
    onHangUp = () => void appliance.reload(load);
    return Promise.race([appliance.finished, aborted(context.stop)]);
  });
}

/** The screen belongs to the UI: the log goes to a file, and what is said before and after stands on the shell's own. */
async function runOnTerminal(
  start: Start,
  configuration: Configuration,
  level: LogLevel,
  context: CommandContext,
): Promise<void> {
  requireTerminal(context, 'use --headless');
  const { role, name, state } = configuration;
  const file = new LogFile(join(state, 'farcopy.log'));
  context.stdout.write(`Starting the ${role} ${name} …\n`);
  try {
    await run(start, jsonLog(file, level), context, async ({ control, finished }) => {
      const ended = new AbortController();
      // A failure of the appliance must first end the screen, then be told.
      const failure = finished.finally(() => ended.abort());
      failure.catch(() => undefined);
      await terminalSession(control, true, context, ended.signal);
      if (ended.signal.aborted) await failure;
      context.stdout.write(`Stopping the ${role} ${name} …\n`);
    });
    context.stdout.write(`Stopped. The log is in ${file.path}.\n`);
  } finally {
    file.close();
  }
}

async function run(
  start: Start,
  log: Log,
  { files, clock, random }: CommandContext,
  untilOver: (appliance: Appliance) => Promise<void>,
): Promise<void> {
  const appliance = await start({ files, clock, random, log });
  log.info('Ready.', { pid: process.pid });
  try {
    await untilOver(appliance);
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
