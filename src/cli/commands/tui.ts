import { Command } from 'commander';
import { configurationOf } from '../configuration-option.js';
import type { CommandContext } from '../context.js';
import { ReattachingControl } from '../reattaching-control.js';
import { requireTerminal, terminalSession } from '../terminal-session.js';

/** `farcopy tui`: the terminal UI of an appliance that runs elsewhere, such as under a service manager. */
export function tuiCommand(context: CommandContext): Command {
  return new Command('tui')
    .description('attach the terminal UI to the running appliance; quitting leaves it running')
    .action(async (_options: unknown, command: Command) => {
      const configuration = await configurationOf(command, context);
      requireTerminal(context, 'use `farcopy status`');
      const control = await ReattachingControl.attach(configuration);
      try {
        await terminalSession(control, false, context);
      } finally {
        control.close();
      }
    });
}
