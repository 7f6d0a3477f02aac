import { Command } from 'commander';
import { ApplianceError } from '../../appliance/errors.js';
import type { DrillResult } from '../../control/appliance-control.js';
import { backupConfigurationOf } from '../configuration-option.js';
import type { CommandContext } from '../context.js';
import { durationArgument } from '../duration-argument.js';
import { progressView } from '../progress-bar.js';
import { withRestorePoints } from '../restore-points.js';
import { printable } from '../table.js';

interface DrillOptions {
  readonly at?: string;
  readonly command?: string;
  readonly timeout?: number;
  readonly json?: true;
}

/** `farcopy drill PRIMARY/VOLUME`: is a restore point of use. */
export function drillCommand(context: CommandContext): Command {
  return new Command('drill')
    .description('restore a point to a throw-away file and check it by a command (on the backup)')
    .argument('<volume>', 'PRIMARY/VOLUME')
    .option('--at <point>', "a point's id, or a time: the newest point not after it (default: the newest)")
    .option('--command <command>', 'what to run, with the file as $DEVICE (default: the configured one)')
    .option('--timeout <time>', 'end the command after that time (default: 6h)', durationArgument)
    .option('--json', 'print the result as JSON')
    .action(async (volume: string, options: DrillOptions, command: Command) => {
      const configuration = await backupConfigurationOf(command, context);
      const view = progressView(context.stderr);
      const result = await withRestorePoints(configuration, context, (source) =>
        source.drill(
          {
            volume,
            ...(options.at !== undefined && { at: options.at }),
            ...(options.command !== undefined && { command: options.command }),
            ...(options.timeout !== undefined && { timeoutMs: options.timeout }),
          },
          { signal: context.stop, progress: (progress) => view.show(progress) },
        ),
      ).finally(() => view.end());
      context.stdout.write(options.json === true ? `${JSON.stringify(result)}\n` : textOf(result));
      if (!result.passed) throw new ApplianceError('failed', 'the drill has failed');
    });
}

const textOf = ({ volume, state, stateTime, passed, trouble, seconds }: DrillResult): string =>
  `${volume} as of ${stateTime} (state ${state}): ${passed ? 'passed' : printable(trouble ?? 'failed')} after ${seconds.toFixed(1)} s\n`;
