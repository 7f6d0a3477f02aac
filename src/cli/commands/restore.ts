import { Command } from 'commander';
import { resolve } from 'node:path';
import { ApplianceError } from '../../appliance/errors.js';
import { formatSize } from '../../config/units.js';
import { backupConfigurationOf } from '../configuration-option.js';
import type { CommandContext } from '../context.js';
import { progressView } from '../progress-bar.js';
import { withRestorePoints } from '../restore-points.js';

interface RestoreOptions {
  readonly to: string;
  readonly at?: string;
  readonly force?: true;
  readonly damaged?: true;
  readonly json?: true;
}

/** `farcopy restore PRIMARY/VOLUME --to PATH`: a state back as a file or device. */
export function restoreCommand(context: CommandContext): Command {
  return new Command('restore')
    .description('write a state to a file or device (on the backup)')
    .argument('<volume>', 'PRIMARY/VOLUME')
    .requiredOption('--to <path>', 'file or device to write')
    .option('--at <point>', "a point's id, or a time: the newest point not after it (default: the newest)")
    .option('--force', 'overwrite what is there')
    .option(
      '--damaged',
      'go on where blocks have rotted, write what is there of them, and say which they are',
    )
    .option('--json', 'print the result as JSON')
    .action(async (volume: string, options: RestoreOptions, command: Command) => {
      const configuration = await backupConfigurationOf(command, context);
      const view = progressView(context.stderr);
      const result = await withRestorePoints(configuration, context, (source) =>
        source.restore(
          {
            volume,
            to: resolve(options.to),
            force: options.force === true,
            ...(options.damaged === true && { damaged: true }),
            ...(options.at !== undefined && { at: options.at }),
          },
          { signal: context.stop, progress: (progress) => view.show(progress) },
        ),
      ).finally(() => view.end());
      context.stdout.write(
        options.json === true
          ? `${JSON.stringify(result)}\n`
          : `${result.seed === undefined ? '' : UNSURE}wrote ${volume} as of ${result.time} (state ${result.state}) to ${result.to}: ${formatSize(result.sizeBytes)}\n`,
      );
      const { damaged } = result;
      if (damaged === undefined) return;
      const blocks = damaged.map(({ start, end }) =>
        end - start === 1 ? `${start}` : `${start}-${end - 1}`,
      );
      throw new ApplianceError('failed', `these blocks are not what they were: ${blocks.join(', ')}`);
    });
}

const UNSURE =
  'warning: this state came on a disk, and the primary has not confirmed that it is what it had\n';
