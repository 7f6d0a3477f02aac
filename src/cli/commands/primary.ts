import { Command } from 'commander';
import type { Appliance, ApplianceOptions } from '../../appliance/appliance.js';
import type { Configuration } from '../../config/configuration.js';
import { primaryConfigurationOf, configurationOf } from '../configuration-option.js';
import type { CommandContext } from '../context.js';
import { logLevelOption, runAppliance, type RunOptions } from '../run-appliance.js';

/** `farcopy primary`: runs the appliance until it is told to stop. */
export function primaryCommand(context: CommandContext): Command {
  return new Command('primary')
    .description('run the primary appliance of this configuration')
    .option('--headless', 'never use the terminal: JSON log lines on stderr')
    .addOption(logLevelOption())
    .action(async ({ headless, logLevel }: RunOptions, command: Command) => {
      const configuration = await primaryConfigurationOf(command, context);
      const { startPrimary } = await import('../../appliance/primary.js');
      const start = (options: ApplianceOptions): Promise<Appliance> => startPrimary(configuration, options);
      const load = (): Promise<Configuration> => configurationOf(command, context);
      await runAppliance(start, configuration, load, { headless: headless === true, logLevel }, context);
    });
}
