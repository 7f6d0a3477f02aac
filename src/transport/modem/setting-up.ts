import type { Millis } from '../../../protocol/units.js';
import { TransportError } from '../errors.js';
import { ask, type Script } from './dialogue.js';
import { hangUp } from './hanging-up.js';
import { CR } from './hayes.js';

/** A reset takes the slowest modems two seconds. */
const OBEYED_MS = 3000;

export interface SettingUp {
  /** For messages. */
  readonly device: string;
  /** Each obeyed before the next. */
  readonly commands: readonly string[];
  /** A line that rings cannot be dialled on: ATD would take the call. */
  readonly failOnRing: boolean;
}

/**
 * Brings the modem into a known condition, whatever a process that died has left it in: also in the midst of a call.
 * Returns the time it was done.
 */
export function* setUp(now: Millis, settings: SettingUp): Script<Millis> {
  let at = now;
  for (const command of settings.commands) at = yield* obey(at, command, settings);
  return at;
}

function* obey(now: Millis, command: string, { device, failOnRing }: SettingUp): Script<Millis> {
  const kinds = failOnRing ? (['ok', 'error', 'ring'] as const) : (['ok', 'error'] as const);
  let heard = yield* ask(now, command + CR, OBEYED_MS, kinds);
  if (heard.result === null) {
    // A call may still be up, of a process that was killed.
    const { now: at } = yield* hangUp(heard.now, 0, 1);
    heard = yield* ask(at, command + CR, OBEYED_MS, kinds);
  } else if (heard.result.kind === 'error') {
    // It may have been about half a command that was still in the modem.
    heard = yield* ask(heard.now, command + CR, OBEYED_MS, kinds);
  }
  switch (heard.result?.kind) {
    case 'ok':
      return heard.now;
    case 'ring':
      throw new TransportError('busy', `${device}: a call is coming in on this line`);
    case 'error':
      throw new TransportError(
        'modem-error',
        `${device}: the modem refuses the command ${command}`,
        'set `init` for this modem to commands that it knows',
      );
    default:
      throw noModem(device, heard.noise);
  }
}

export function noModem(device: string, noise: string): TransportError {
  return noise === ''
    ? new TransportError(
        'no-modem',
        `${device}: no modem answers`,
        'is it on, is the cable in, is this its device; `flow: none` if the cable has no RTS and CTS',
      )
    : new TransportError(
        'no-modem',
        `${device}: no modem answers; what came was ${JSON.stringify(noise.slice(0, 40))}`,
        'is the baud rate right, and is it a modem',
      );
}
