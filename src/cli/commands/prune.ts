import { Command } from 'commander';
import type { KeepCounts, PruneResult } from '../../control/appliance-control.js';
import { backupConfigurationOf } from '../configuration-option.js';
import type { CommandContext } from '../context.js';
import { withRestorePoints } from '../restore-points.js';
import { table } from '../table.js';

/** `farcopy prune PRIMARY/VOLUME`: applies the primary's `keep` now. */
export function pruneCommand(context: CommandContext): Command {
  return new Command('prune')
    .description("remove the restore points that the primary's keep does not keep (on the backup)")
    .argument('<volume>', 'PRIMARY/VOLUME')
    .option('--dry-run', 'only tell which would go')
    .option('--json', 'print the result as JSON')
    .action(async (volume: string, options: { dryRun?: true; json?: true }, command: Command) => {
      const configuration = await backupConfigurationOf(command, context);
      const result = await withRestorePoints(configuration, context, (source) =>
        source.prune(
          { volume, dryRun: options.dryRun === true },
          { signal: context.stop, progress: () => undefined },
        ),
      );
      context.stdout.write(options.json === true ? `${JSON.stringify(result)}\n` : pruneText(result));
    });
}

function pruneText({ volume, dryRun, policy, kept, removed }: PruneResult): string {
  const left = `${kept.length} kept`;
  if (policy === null)
    return `${volume}: no \`keep\` is set for its primary, so every point is kept (${kept.length})\n`;
  const rule = `keep: ${policyText(policy)}\n`;
  if (removed.length === 0) return `${rule}${volume}: nothing to remove, ${left}\n`;
  const rows = removed.map(({ id, appliedAt, time, grade }) => [id, appliedAt, time, grade]);
  const verb = dryRun ? 'would be removed' : 'removed';
  return `${rule}${table([['ID', 'APPLIED', 'TIME', 'GRADE'], ...rows])}${volume}: ${removed.length} ${verb}, ${left}\n`;
}

const policyText = (policy: KeepCounts): string =>
  Object.entries(policy)
    .filter(([, count]) => count > 0)
    .map(([kind, count]) => `${kind} ${count}`)
    .join(', ');
