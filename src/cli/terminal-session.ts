import { runTui } from '../../tui/app.js';
import type { Operated } from '../../tui/operated.js';
import type { CommandContext } from './context.js';
import { UsageError } from './exit-code.js';

/** Fails, before anything is started, where the terminal UI could not be drawn. */
export function requireTerminal({ interactive }: CommandContext, instead: string): void {
  if (interactive !== true) {
    throw new UsageError('the terminal UI needs a terminal as standard input and output', instead);
  }
  const term = process.env['TERM'] ?? '';
  if (term === 'dumb' || term === '') {
    const found = term === '' ? 'TERM is not set' : 'TERM is dumb';
    throw new UsageError(
      `the terminal UI needs a terminal that it can draw on: ${found}`,
      `${instead}, or set TERM to what the terminal is, such as vt100 or xterm`,
    );
  }
}

/**
 * Hands the terminal to the UI until the operator quits or `context.stop` aborts, and takes it back whatever happens.
 *
 * @param owner whether quitting stops the appliance
 * @param ended aborts when there is nothing to show any more
 */
export async function terminalSession(
  control: Operated,
  owner: boolean,
  context: CommandContext,
  ended?: AbortSignal,
): Promise<void> {
  const hungUp = new AbortController();
  const hangUp = (): void => hungUp.abort();
  // Node prints warnings on stderr: that is the screen.
  const printers = process.listeners('warning');
  process.removeAllListeners('warning');
  // For good: the kernel sends it and the shell too, and the second one is not to end the process in the midst of its end.
  process.on('SIGHUP', hangUp);
  try {
    const { BlessedTerminal } = await import('../../tui/widgets/blessed-terminal.js');
    await runTui({
      control,
      terminal: new BlessedTerminal(),
      clock: context.clock,
      owner,
      stop: AbortSignal.any([context.stop, hungUp.signal, ...(ended === undefined ? [] : [ended])]),
    });
  } finally {
    for (const printer of printers) process.on('warning', printer);
  }
}
