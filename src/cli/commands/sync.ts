import { Command } from 'commander';
import type { SyncResult } from '../../control/appliance-control.js';
import { formatCount, formatDuration, formatSize, parseDuration } from '../../config/units.js';
import { primaryConfigurationOf } from '../configuration-option.js';
import type { CommandContext } from '../context.js';
import { UsageError } from '../exit-code.js';
import { progressView } from '../progress-bar.js';
import { withAppliance } from '../running-appliance.js';

interface SyncOptions {
  readonly to?: string;
  readonly timeout?: string;
  readonly json?: true;
}

/** `farcopy sync VOLUME`: a consistent snapshot now, and done when the backup has applied it. */
export function syncCommand(context: CommandContext): Command {
  return new Command('sync')
    .description('take a consistent snapshot now and replicate it; done when the backup has applied it')
    .argument('<volume>')
    .option('--to <backup>', 'which backup, where there are several')
    .option('--timeout <duration>', 'give up after this long, such as 90s or 5m')
    .option('--json', 'print the result as JSON')
    .action(async (volume: string, options: SyncOptions, command: Command) => {
      const timeoutMs = options.timeout === undefined ? undefined : timeoutOf(options.timeout);
      const configuration = await primaryConfigurationOf(command, context);
      const view = progressView(context.stderr);
      const result = await withAppliance(configuration, (appliance) =>
        appliance.sync(
          {
            volume,
            ...(options.to !== undefined && { to: options.to }),
            ...(timeoutMs !== undefined && { timeoutMs }),
          },
          { signal: context.stop, progress: (progress) => view.show(progress) },
        ),
      ).finally(() => view.end());
      context.stdout.write(options.json === true ? `${JSON.stringify(result)}\n` : syncText(volume, result));
    });
}

/** A number without a unit is taken for seconds, as other programs' timeouts are. */
function timeoutOf(text: string): number {
  const ms = parseDuration(/^\d+$/.test(text) ? `${text}s` : text);
  if (ms !== undefined && ms > 0) return ms;
  throw new UsageError(`--timeout: found "${text}", allowed a duration such as 90s or 5m`);
}

function syncText(volume: string, result: SyncResult): string {
  const { state, grade, blocks, bytesSent, bytesReceived, seconds } = result;
  return (
    `${volume} is safe as state ${state} (${grade}): ${formatCount(blocks, 'block')}, ${formatSize(bytesSent)} sent, ` +
    `${formatSize(bytesReceived)} received, ${formatDuration(seconds * 1000)}\n`
  );
}
