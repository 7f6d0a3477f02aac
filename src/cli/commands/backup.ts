import { Command } from 'commander';
import type { Appliance, ApplianceOptions } from '../../appliance/appliance.js';
import type { Configuration } from '../../config/configuration.js';
import { backupConfigurationOf, configurationOf } from '../configuration-option.js';
import type { CommandContext } from '../context.js';
import { logLevelOption, runAppliance, type RunOptions } from '../run-appliance.js';

/** `farcopy backup`: runs the appliance until it is told to stop. */
export function backupCommand(context: CommandContext): Command {
  return new Command('backup')
    .description('run the backup appliance of this configuration')
    .option('--headless', 'never use the terminal: JSON log lines on stderr')
    .addOption(logLevelOption())
    .action(async ({ headless, logLevel }: RunOptions, command: Command) => {
      const configuration = await backupConfigurationOf(command, context);
      const { startBackup } = await import('../../appliance/backup.js');
      const start = (options: ApplianceOptions): Promise<Appliance> => startBackup(configuration, options);
      const load = (): Promise<Configuration> => configurationOf(command, context);
      await runAppliance(start, configuration, load, { headless: headless === true, logLevel }, context);
    });
}
