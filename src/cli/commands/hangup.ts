import { Command } from 'commander';
import { configurationOf } from '../configuration-option.js';
import type { CommandContext } from '../context.js';
import { withAppliance } from '../running-appliance.js';

/** `farcopy hangup [LINK]`: ends the calls on a link, on either side. */
export function hangupCommand(context: CommandContext): Command {
  return new Command('hangup')
    .description(
      'end the calls on a link, or on all; it is not called again for five minutes, or until a sync',
    )
    .argument('[link]', 'its name, as `status` shows it')
    .action(async (link: string | undefined, _options: unknown, command: Command) => {
      const configuration = await configurationOf(command, context);
      await withAppliance(configuration, (appliance) => appliance.hangUp(link === undefined ? {} : { link }));
      context.stdout.write(`hung up: ${link ?? 'all links'}\n`);
    });
}
