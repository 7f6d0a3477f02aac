import { Command, CommanderError } from 'commander';
import { backupCommand } from './commands/backup.js';
import { compareCommand } from './commands/compare.js';
import { demoCommand } from './commands/demo.js';
import { doctorCommand } from './commands/doctor.js';
import { drillCommand } from './commands/drill.js';
import { exportCommand } from './commands/export.js';
import { hangupCommand } from './commands/hangup.js';
import { initCommand } from './commands/init.js';
import { pauseCommand, resumeCommand } from './commands/pause.js';
import { pointsCommand } from './commands/points.js';
import { primaryCommand } from './commands/primary.js';
import { pruneCommand } from './commands/prune.js';
import { restoreCommand } from './commands/restore.js';
import { seedCommand } from './commands/seed.js';
import { scrubCommand } from './commands/scrub.js';
import { snapshotCommand } from './commands/snapshot.js';
import { statusCommand } from './commands/status.js';
import { syncCommand } from './commands/sync.js';
import { tuiCommand } from './commands/tui.js';
import { DEFAULT_CONFIG, type CommandContext } from './context.js';
import { errorLines, exitCodeOf, type ExitCode } from './exit-code.js';

const COMMANDS = [
  demoCommand,
  initCommand,
  primaryCommand,
  backupCommand,
  syncCommand,
  compareCommand,
  snapshotCommand,
  pauseCommand,
  resumeCommand,
  hangupCommand,
  statusCommand,
  pointsCommand,
  restoreCommand,
  exportCommand,
  pruneCommand,
  drillCommand,
  seedCommand,
  scrubCommand,
  doctorCommand,
  tuiCommand,
];

/** Runs one command line (without node and script) to its end; errors are printed, not thrown. */
export async function runCommandLine(args: readonly string[], context: CommandContext): Promise<ExitCode> {
  const program = makeProgram(context);
  try {
    if (args.length === 0) {
      context.stderr.write(program.helpInformation());
      return 2;
    }
    await program.parseAsync(args, { from: 'user' });
    return 0;
  } catch (error) {
    const reported: unknown =
      context.stop.aborted && isAbort(error, context.stop) ? context.stop.reason : error;
    for (const line of errorLines(reported)) context.stderr.write(`${line}\n`);
    if (process.env['FARCOPY_DEBUG'] !== undefined && !(error instanceof CommanderError)) {
      context.stderr.write(`${error instanceof Error ? (error.stack ?? '') : ''}\n`);
    }
    return exitCodeOf(reported);
  }
}

const isAbort = (error: unknown, stop: AbortSignal): boolean =>
  error === stop.reason || (error instanceof Error && error.name === 'AbortError');

function makeProgram(context: CommandContext): Command {
  const program = new Command('farcopy')
    .description('Keeps a far copy of a raw block device over a link as thin as a telephone line.')
    .option('--config <file>', 'configuration file', DEFAULT_CONFIG)
    .helpCommand(false)
    .showSuggestionAfterError(true);
  for (const make of COMMANDS) program.addCommand(make(context));
  const commands = program.commands.flatMap((command) => [command, ...command.commands]);
  for (const command of [program, ...commands]) {
    command
      .exitOverride()
      .configureHelp({ showGlobalOptions: true })
      .configureOutput({
        writeOut: (text) => context.stdout.write(text),
        writeErr: (text) => context.stderr.write(text),
        outputError: () => undefined,
      });
  }
  return program;
}
