import { Command, InvalidArgumentError } from 'commander';
import { ApplianceError } from '../../appliance/errors.js';
import { formatCount, formatSize, parseSize } from '../../config/units.js';
import type { ScrubResult } from '../../control/appliance-control.js';
import { backupConfigurationOf } from '../configuration-option.js';
import type { CommandContext } from '../context.js';
import { progressView } from '../progress-bar.js';
import { withRestorePoints } from '../restore-points.js';
import { printable } from '../table.js';

interface ScrubOptions {
  readonly rate?: number;
  readonly json?: true;
}

/** Ranges of blocks shown of one place; the JSON has all. */
const RANGES_SHOWN = 16;

/** `farcopy scrub PRIMARY/VOLUME`: is what is stored still what was stored. */
export function scrubCommand(context: CommandContext): Command {
  return new Command('scrub')
    .description('read all that is stored of a volume and check it for rot (on the backup)')
    .argument('<volume>', 'PRIMARY/VOLUME')
    .option('--rate <size>', 'read no more than that in a second, such as 20MiB', rateArgument)
    .option('--json', 'print the result as JSON')
    .action(async (volume: string, options: ScrubOptions, command: Command) => {
      const configuration = await backupConfigurationOf(command, context);
      const view = progressView(context.stderr);
      const result = await withRestorePoints(configuration, context, (source) =>
        source.scrub(
          { volume, ...(options.rate !== undefined && { bytesPerSecond: options.rate }) },
          { signal: context.stop, progress: (progress) => view.show(progress) },
        ),
      ).finally(() => view.end());
      context.stdout.write(options.json === true ? `${JSON.stringify(result)}\n` : textOf(result));
      if (!result.passed) throw new ApplianceError('failed', 'the scrub has found damage', hintOf(result));
    });
}

function rateArgument(text: string): number {
  const size = parseSize(text);
  if (size === undefined || size < 1) throw new InvalidArgumentError('a size such as 20MiB is allowed');
  return size;
}

function textOf(result: ScrubResult): string {
  const { volume, state, stateTime, digests, seconds, blocks, bytes, increments } = result;
  const lines = [
    `${volume} as of ${stateTime} (state ${state}): ${result.passed ? 'clean' : 'DAMAGED'} after ${seconds.toFixed(1)} s`,
    `read ${formatSize(bytes)}: ${formatCount(blocks, 'block')} of the image, ${formatCount(increments.blocks, 'old block')} in ${formatCount(increments.files, 'increment')}`,
  ];
  if (digests !== 'checked') {
    const why = digests === 'made' ? 'there were no digests yet' : 'the digests were lost';
    lines.push(
      `${why}: they were made now, of the image as it is; \`farcopy compare\` on the primary proves it`,
    );
  }
  if (result.rottenBlocks > 0) lines.push(`rotten in the image: ${rangesText(result.rotten)}`);
  if (result.unknownBlocks > 0)
    lines.push(`of which the digests are damaged, not known: ${rangesText(result.unknown)}`);
  for (const { point, blocks: lost } of increments.damaged)
    lines.push(
      `damaged in the increment of point ${point}: ${lost === null ? 'all of it' : rangesText(lost)}`,
    );
  for (const { id, time, blocks: lost } of result.points)
    lines.push(
      `point ${id} (${time}) lacks ${lost === null ? 'what cannot be told' : formatCount(lost, 'block')}`,
    );
  for (const text of result.records) lines.push(printable(text));
  return `${lines.join('\n')}\n`;
}

function rangesText(ranges: ScrubResult['rotten']): string {
  const shown = ranges
    .slice(0, RANGES_SHOWN)
    .map(({ start, end }) => (end - start === 1 ? `${start}` : `${start}-${end - 1}`));
  const more = ranges.length > RANGES_SHOWN ? ` and ${ranges.length - RANGES_SHOWN} more ranges` : '';
  return `blocks ${shown.join(', ')}${more}`;
}

function hintOf({ volume, rottenBlocks, unknownBlocks, points }: ScrubResult): string {
  const name = volume.slice(volume.indexOf('/') + 1);
  const disk = 'check the disk of the store';
  if (rottenBlocks + unknownBlocks > 0)
    return `run \`farcopy sync ${name}\` on the primary: it compares these blocks and sends them anew; ${disk}`;
  return points.length > 0
    ? `what is lost of an older point cannot be had again, newer points are whole; ${disk}`
    : disk;
}
