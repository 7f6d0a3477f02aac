import { Command } from 'commander';
import { configurationOf } from '../configuration-option.js';
import type { CommandContext } from '../context.js';
import { withAppliance } from '../running-appliance.js';
import { statusText } from '../status-text.js';

/** `farcopy status`: what the running appliance says of itself. */
export function statusCommand(context: CommandContext): Command {
  return new Command('status')
    .description('show links, volumes, changed blocks, transfers, last safe states and events')
    .option('--json', 'print the status as JSON')
    .action(async (options: { json?: true }, command: Command) => {
      const configuration = await configurationOf(command, context);
      const status = await withAppliance(configuration, (appliance) => appliance.status());
      context.stdout.write(
        options.json === true ? `${JSON.stringify(status)}\n` : statusText(status, context.clock.wall()),
      );
    });
}
