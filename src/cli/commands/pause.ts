import { Command } from 'commander';
import { primaryConfigurationOf } from '../configuration-option.js';
import type { CommandContext } from '../context.js';
import { withAppliance } from '../running-appliance.js';

/** `farcopy pause [VOLUME]`: nothing more of it is sent until `resume`. */
export const pauseCommand = (context: CommandContext): Command =>
  pausing(context, 'pause', 'stop sending a volume, or all, until `resume`; what has arrived is kept');

/** `farcopy resume [VOLUME]`. */
export const resumeCommand = (context: CommandContext): Command =>
  pausing(context, 'resume', 'go on sending a paused volume, or all, and call on links that were hung up');

function pausing(context: CommandContext, what: 'pause' | 'resume', description: string): Command {
  return new Command(what)
    .description(description)
    .argument('[volume]')
    .option('--json', 'print which volumes are paused now as JSON')
    .action(async (volume: string | undefined, options: { json?: true }, command: Command) => {
      const configuration = await primaryConfigurationOf(command, context);
      const request = volume === undefined ? {} : { volume };
      const result = await withAppliance(configuration, (appliance) => appliance[what](request));
      const names = result.paused.length === 0 ? 'none' : result.paused.join(', ');
      context.stdout.write(
        options.json === true ? `${JSON.stringify(result)}\n` : `paused volumes: ${names}\n`,
      );
    });
}
