import { Command } from 'commander';
import type { LineBytes } from '../../../protocol/set-account.js';
import type { PointSummary } from '../../control/appliance-control.js';
import { addressesOf, lineTotal } from '../../control/set-cost-text.js';
import { formatSize } from '../../config/units.js';
import { backupConfigurationOf } from '../configuration-option.js';
import type { CommandContext } from '../context.js';
import { withRestorePoints } from '../restore-points.js';
import { table } from '../table.js';

/** `farcopy points`: what can be restored. */
export function pointsCommand(context: CommandContext): Command {
  return new Command('points')
    .description('list restore points, newest first (on the backup)')
    .argument('[volume]', 'PRIMARY/VOLUME; all if left out')
    .option('--json', 'print them as JSON')
    .action(async (volume: string | undefined, options: { json?: true }, command: Command) => {
      const configuration = await backupConfigurationOf(command, context);
      const points = await withRestorePoints(configuration, context, (source) =>
        source.points({ ...(volume !== undefined && { volume }) }),
      );
      context.stdout.write(options.json === true ? `${JSON.stringify(points)}\n` : pointsText(points));
    });
}

function pointsText(points: readonly PointSummary[]): string {
  if (points.length === 0) return 'no restore points yet\n';
  const rows = points.map((point) => [
    point.id,
    `${point.primary}/${point.volume}`,
    point.time,
    point.grade,
    formatSize(point.sizeBytes),
    String(point.blocks),
    point.bytesWritten === undefined ? '' : formatSize(point.bytesWritten),
    lineText(point, lineTotal),
    lineText(point, addressesOf),
    point.drill === undefined ? '' : point.drill.passed ? 'passed' : 'FAILED',
    point.scrub === undefined ? '' : point.scrub.lostBlocks === 0 ? 'clean' : 'DAMAGED',
    [seedText(point), point.note ?? ''].filter((text) => text !== '').join('; '),
  ]);
  return table(
    [
      [
        'ID',
        'VOLUME',
        'TIME',
        'GRADE',
        'SIZE',
        'BLOCKS',
        'WRITTEN',
        'ON THE LINE',
        'ADDRESSES',
        'DRILL',
        'SCRUB',
        'NOTE',
      ],
      ...rows,
    ],
    [4, 5, 6, 7, 8],
  );
}

function seedText({ seed }: PointSummary): string {
  if (seed === undefined) return '';
  return seed === 'unconfirmed' ? 'FROM A DISK, NOT CONFIRMED' : 'FROM A DISK, NOT WHAT THE PRIMARY HAD';
}

/** By this side's count where it has one. */
function lineText({ line }: PointSummary, of: (line: LineBytes) => number | null): string {
  const counted = line?.byBackup ?? line?.byPrimary ?? null;
  const bytes = counted === null ? null : of(counted);
  return bytes === null ? '' : formatSize(bytes);
}
