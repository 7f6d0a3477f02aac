import { Command } from 'commander';
import type { CommandContext } from '../context.js';

/** `farcopy demo`: the whole job in one terminal. */
export function demoCommand(context: CommandContext): Command {
  return new Command('demo')
    .description('show the whole job in this terminal: a primary and a backup joined by a null modem')
    .action(async () => {
      const { runDemo } = await import('../../demo/demo.js');
      await runDemo(context);
    });
}
