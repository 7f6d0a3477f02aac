import type { Millis } from '../../../protocol/units.js';
import { ask, pause, type Script } from './dialogue.js';
import { CALL_RESULTS, CR, ESCAPE, GUARD_MS, HANG_UP } from './hayes.js';

/** Between the second guard time and the modem's OK. */
const ESCAPED_MS = 1000;
const HUNG_UP_MS = 2000;
/** A cancelled dialling is reported at once. */
const CANCELLED_MS = 1500;

export interface HungUp {
  readonly now: Millis;
  /** False: the modem did not confirm it. */
  readonly onHook: boolean;
}

/**
 * Ends a call by text, for a line that cannot drop DTR: silence, `+++`, silence, `ATH`. `queuedMs` is what the bytes
 * already handed over still take, which must be through before the silence counts.
 */
export function* hangUp(now: Millis, queuedMs: number, attempts = 3): Script<HungUp> {
  let at = yield* pause(now, queuedMs, true);
  for (let attempt = 0; attempt < attempts; attempt++) {
    at = yield* pause(at, GUARD_MS, true);
    // No OK: the modem may be among its commands already (the other side hung up), so ATH is tried all the same.
    ({ now: at } = yield* ask(at, ESCAPE, GUARD_MS + ESCAPED_MS, ['ok', 'no-carrier'], true));
    const heard = yield* ask(at, HANG_UP + CR, HUNG_UP_MS, ['ok', 'no-carrier'], true);
    if (heard.result !== null) return { now: heard.now, onHook: true };
    at = heard.now;
  }
  return { now: at, onHook: false };
}

/** Is the modem among its commands; if it is, it is on hook now. In a call this is noise to the other side. */
export function* hangUpAmongCommands(now: Millis): Script<HungUp> {
  const heard = yield* ask(now, HANG_UP + CR, CANCELLED_MS, ['ok', 'no-carrier'], true);
  return { now: heard.now, onHook: heard.result !== null };
}

/** Gives up a call that is being made or answered: any character cancels it. */
export function* letGo(now: Millis): Script<HungUp> {
  const heard = yield* ask(now, CR, CANCELLED_MS, [...CALL_RESULTS, 'ok'], true);
  return heard.result?.kind === 'connect'
    ? yield* hangUp(heard.now, 0, 2)
    : yield* hangUpAmongCommands(heard.now);
}
