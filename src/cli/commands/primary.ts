import { Command } from 'commander';
import { primaryConfigurationOf } from '../configuration-option.js';
import type { CommandContext } from '../context.js';
import { runAppliance } from '../run-appliance.js';

/** `farcopy primary`: runs the appliance until it is told to stop. */
export function primaryCommand(context: CommandContext): Command {
  return new Command('primary')
    .description('run the primary appliance of this configuration')
    .option('--headless', 'never use the terminal: JSON log lines on stderr')
    .action(async (_options: unknown, command: Command) => {
      const configuration = await primaryConfigurationOf(command, context);
      const { startPrimary } = await import('../../appliance/primary.js');
      await runAppliance((options) => startPrimary(configuration, options), context);
    });
}
