import { Command } from 'commander';
import type { CompareResult } from '../../control/appliance-control.js';
import { formatCount, formatDuration, formatSize } from '../../config/units.js';
import { primaryConfigurationOf } from '../configuration-option.js';
import type { CommandContext } from '../context.js';
import { progressView } from '../progress-bar.js';
import { withAppliance } from '../running-appliance.js';

interface CompareOptions {
  readonly to?: string;
  readonly json?: true;
}

/** `farcopy compare VOLUME`: finds by digests what the far copy differs in, and sends just that. */
export function compareCommand(context: CommandContext): Command {
  return new Command('compare')
    .description('compare a volume with its far copy by digests; blocks that differ are marked and sent')
    .argument('<volume>')
    .option('--to <backup>', 'which backup, where there are several')
    .option('--json', 'print the result as JSON')
    .action(async (volume: string, options: CompareOptions, command: Command) => {
      const configuration = await primaryConfigurationOf(command, context);
      const view = progressView(context.stderr);
      const result = await withAppliance(configuration, (appliance) =>
        appliance.compare(
          { volume, ...(options.to !== undefined && { to: options.to }) },
          { signal: context.stop, progress: (progress) => view.show(progress) },
        ),
      ).finally(() => view.end());
      context.stdout.write(
        options.json === true ? `${JSON.stringify(result)}\n` : compareText(volume, result),
      );
    });
}

function compareText(
  volume: string,
  { equal, differing, bytesSent, bytesReceived, seconds }: CompareResult,
): string {
  const found = equal
    ? `${volume} and its far copy are equal`
    : `${volume} differed from its far copy in ${formatCount(differing, 'block')}, now sent and applied`;
  return (
    `${found}: ${formatSize(bytesSent)} sent, ${formatSize(bytesReceived)} received, ` +
    `${formatDuration(seconds * 1000)}\n`
  );
}
