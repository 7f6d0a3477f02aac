import { CommanderError } from 'commander';
import { ApplianceError } from '../appliance/errors.js';
import { ConfigError } from '../config/config-error.js';

/** 0 done, 1 failed, 2 wrong usage or configuration (DESIGN section 8). */
export type ExitCode = 0 | 1 | 2;

/** A command line that cannot be understood. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  constructor(
    message: string,
    readonly hint = 'see `farcopy --help`',
  ) {
    super(message);
  }
}

/** Errors of these codes mean that the command asked for something that is not there to be asked for. */
const USAGE_CODES: ReadonlySet<string> = new Set(['wrong-role', 'unknown-volume', 'unknown-backup']);

/** Commander's ways to say that it has shown what was asked for. */
const SHOWN_CODES: ReadonlySet<string> = new Set(['commander.helpDisplayed', 'commander.version']);

export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof CommanderError) return SHOWN_CODES.has(error.code) ? 0 : 2;
  if (error instanceof UsageError) return 2;
  if (error instanceof ConfigError) return error.code === 'exists' ? 1 : 2;
  if (error instanceof ApplianceError) return USAGE_CODES.has(error.code) ? 2 : 1;
  return 1;
}

/**
 * What an error says on stderr: `farcopy: message` (a line for each problem of a configuration file), then its hint.
 * Empty if everything was shown already.
 */
export function errorLines(error: unknown): readonly string[] {
  if (error instanceof CommanderError) return commanderLines(error);
  if (!(error instanceof Error)) return [`farcopy: ${String(error)}`];
  const known = 'code' in error || error instanceof UsageError;
  const hint = 'hint' in error && typeof error.hint === 'string' ? error.hint : undefined;
  return [
    ...error.message.split('\n').map((line) => `farcopy: ${known ? '' : 'internal error: '}${line}`),
    ...(hint === undefined ? [] : [`hint: ${hint}`]),
  ];
}

/** Such as "error: unknown command 'statsu'" and, on a second line, "(Did you mean status?)". */
function commanderLines(error: CommanderError): readonly string[] {
  if (SHOWN_CODES.has(error.code) || error.code === 'commander.help') return [];
  const [first = '', suggestion] = error.message.split('\n');
  const near = suggestion === undefined ? '' : `${suggestion.replace(/[()]/g, '').toLowerCase()} `;
  return [`farcopy: ${first.replace(/^error: /, '')}`, `hint: ${near}see \`farcopy --help\``];
}
