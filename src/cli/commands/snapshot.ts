import { Command } from 'commander';
import { primaryConfigurationOf } from '../configuration-option.js';
import type { CommandContext } from '../context.js';
import { withAppliance } from '../running-appliance.js';

/** `farcopy snapshot VOLUME`: an application says that it is consistent at this instant. */
export function snapshotCommand(context: CommandContext): Command {
  return new Command('snapshot')
    .description('seal the volume\'s state at once ("I am consistent now"), grade application')
    .argument('<volume>')
    .option('--note <text>', 'kept with the state')
    .option('--json', 'print the state as JSON')
    .action(async (volume: string, options: { note?: string; json?: true }, command: Command) => {
      const configuration = await primaryConfigurationOf(command, context);
      const result = await withAppliance(configuration, (appliance) =>
        appliance.snapshot({ volume, ...(options.note !== undefined && { note: options.note }) }),
      );
      context.stdout.write(
        options.json === true
          ? `${JSON.stringify(result)}\n`
          : `${volume}: state ${result.state} of ${result.time} (${result.grade})\n`,
      );
    });
}
