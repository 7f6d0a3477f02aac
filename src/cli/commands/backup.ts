import { Command } from 'commander';
import { backupConfigurationOf } from '../configuration-option.js';
import type { CommandContext } from '../context.js';
import { runAppliance } from '../run-appliance.js';

/** `farcopy backup`: runs the appliance until it is told to stop. */
export function backupCommand(context: CommandContext): Command {
  return new Command('backup')
    .description('run the backup appliance of this configuration')
    .option('--headless', 'never use the terminal: JSON log lines on stderr')
    .action(async (_options: unknown, command: Command) => {
      const configuration = await backupConfigurationOf(command, context);
      const { startBackup } = await import('../../appliance/backup.js');
      await runAppliance((options) => startBackup(configuration, options), context);
    });
}
