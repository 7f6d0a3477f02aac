import type { Configuration } from '../config/configuration.js';
import type { ApplianceControl } from '../control/appliance-control.js';
import type { Clock } from '../platform/clock.js';
import type { Files } from '../platform/files.js';
import type { Log } from '../platform/log.js';
import type { Random } from '../platform/random.js';
import type { Lines } from './lines.js';

/** What an appliance is given of the world outside. */
export interface ApplianceOptions {
  readonly log: Log;
  readonly clock: Clock;
  readonly random: Random;
  readonly files: Files;
  /** Left out: the lines of this machine. */
  readonly lines?: Lines;
}

/** A running appliance, ready: its sockets exist and `status` answers. */
export interface Appliance {
  readonly control: ApplianceControl;
  /** Follows a configuration that has changed, or tells why not; never fails. All of it counts, or nothing. */
  reload(load: () => Promise<Configuration>): Promise<void>;
  /** Stops cleanly, in the reverse order of the start. */
  close(): Promise<void>;
  /** Resolves after `close`; rejects when the appliance cannot go on. */
  readonly finished: Promise<void>;
}

/** What is told to the peer, for its log. */
export const SOFTWARE = 'farcopy 0.1';
