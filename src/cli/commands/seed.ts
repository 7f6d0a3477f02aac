import { Command } from 'commander';
import { resolve } from 'node:path';
import { formatCount, formatDuration, formatSize } from '../../config/units.js';
import type { SeedExportResult, SeedImportResult } from '../../control/appliance-control.js';
import { backupConfigurationOf, primaryConfigurationOf } from '../configuration-option.js';
import type { CommandContext } from '../context.js';
import { progressView } from '../progress-bar.js';
import { withAppliance } from '../running-appliance.js';
import { withSeeds } from '../stored-seeds.js';

/** `farcopy seed`: a first copy that is too large for the line travels on a disk. */
export function seedCommand(context: CommandContext): Command {
  return new Command('seed')
    .description('a first copy on a disk: export it at the primary, import it at the backup')
    .helpCommand(false)
    .addCommand(exportCommand(context))
    .addCommand(importCommand(context))
    .addCommand(dropCommand(context));
}

interface ExportOptions {
  readonly to: string;
  readonly backup?: string;
  readonly force?: true;
  readonly json?: true;
}

/** `farcopy seed export VOLUME --to PATH`. */
function exportCommand(context: CommandContext): Command {
  return new Command('export')
    .description('take a consistent snapshot and write all of it to a file (on the primary)')
    .argument('<volume>')
    .requiredOption('--to <path>', 'file to write, on the disk that is to travel')
    .option('--backup <backup>', 'for which backup, where there are several')
    .option('--force', 'overwrite what is there')
    .option('--json', 'print the result as JSON')
    .action(async (volume: string, options: ExportOptions, command: Command) => {
      const configuration = await primaryConfigurationOf(command, context);
      const view = progressView(context.stderr);
      const result = await withAppliance(configuration, (appliance) =>
        appliance.seedExport(
          {
            volume,
            to: resolve(options.to),
            force: options.force === true,
            ...(options.backup !== undefined && { backup: options.backup }),
          },
          { signal: context.stop, progress: (progress) => view.show(progress) },
        ),
      ).finally(() => view.end());
      context.stdout.write(options.json === true ? `${JSON.stringify(result)}\n` : exportText(result));
    });
}

/** `farcopy seed import PATH`. */
function importCommand(context: CommandContext): Command {
  return new Command('import')
    .description('begin a copy with what `seed export` wrote (on the backup)')
    .argument('<path>', 'file that `seed export` wrote')
    .option('--as <volume>', 'PRIMARY/VOLUME (default: as the seed says)')
    .option('--json', 'print the result as JSON')
    .action(async (path: string, options: { as?: string; json?: true }, command: Command) => {
      const configuration = await backupConfigurationOf(command, context);
      const view = progressView(context.stderr);
      const result = await withSeeds(configuration, context, (seeds) =>
        seeds.seedImport(
          { path: resolve(path), ...(options.as !== undefined && { as: options.as }) },
          { signal: context.stop, progress: (progress) => view.show(progress) },
        ),
      ).finally(() => view.end());
      context.stdout.write(options.json === true ? `${JSON.stringify(result)}\n` : importText(result));
    });
}

/** `farcopy seed drop VOLUME`. */
function dropCommand(context: CommandContext): Command {
  return new Command('drop')
    .description('give up a seed that will not be imported, so that nothing is kept for it (on the primary)')
    .argument('<volume>')
    .option('--backup <backup>', 'of which backup, where there are several')
    .option('--json', 'print the result as JSON')
    .action(async (volume: string, options: { backup?: string; json?: true }, command: Command) => {
      const configuration = await primaryConfigurationOf(command, context);
      const result = await withAppliance(configuration, (appliance) =>
        appliance.seedDrop({ volume, ...(options.backup !== undefined && { backup: options.backup }) }),
      );
      context.stdout.write(
        options.json === true
          ? `${JSON.stringify(result)}\n`
          : `the seed of ${result.volume} for ${result.backup} is given up: unless it was imported, the next sync sends all of it\n`,
      );
    });
}

const exportText = ({ volume, backup, to, state, grade, blocks, bytes, seconds }: SeedExportResult): string =>
  `${volume} as state ${state} (${grade}) is in ${to}: ${formatCount(blocks, 'block')}, ${formatSize(bytes)}, ` +
  `${formatDuration(seconds * 1000)}\n` +
  `import it at ${backup} with \`farcopy seed import\`; until then only that disk has it\n`;

const importText = ({ volume, state, time, sizeBytes, seconds }: SeedImportResult): string =>
  `${volume} is at state ${state} of ${time}: ${formatSize(sizeBytes)}, ${formatDuration(seconds * 1000)}\n` +
  'it counts as confirmed when the primary has compared it, which it does when it next calls\n';
