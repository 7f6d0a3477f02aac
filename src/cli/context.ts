import type { Clock } from '../platform/clock.js';
import type { Files } from '../platform/files.js';
import type { Random } from '../platform/random.js';

/** A standard stream as the commands see it. */
export interface Output {
  write(text: string): void;
  readonly isTTY: boolean;
}

/** What a command may touch of the world outside; made once in `main.ts`. */
export interface CommandContext {
  readonly stdout: Output;
  readonly stderr: Output;
  /** Standard input and output are both a terminal. */
  readonly interactive?: boolean;
  readonly files: Files;
  readonly clock: Clock;
  readonly random: Random;
  /** Name of this machine. */
  readonly hostName: string;
  /** Calls `listener` at each SIGHUP from now on, which else ends the process; absent: there is none. */
  readonly onHangUp?: (listener: () => void) => void;
  /** Aborts at the first SIGINT or SIGTERM. */
  readonly stop: AbortSignal;
}

/** Where the configuration is looked for when `--config` is left out. */
export const DEFAULT_CONFIG = './farcopy.yaml';
