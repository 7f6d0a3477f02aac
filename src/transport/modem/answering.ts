import { millis, type Millis } from '../../../protocol/units.js';
import type { Connected } from './calling.js';
import { ask, type Script } from './dialogue.js';
import { letGo } from './hanging-up.js';
import { ANSWER, CALL_RESULTS, CR, initCommands } from './hayes.js';
import { setUp } from './setting-up.js';

export interface Answering {
  readonly device: string;
  readonly init: readonly string[] | null;
  /** Rings before the call is taken. */
  readonly answerAfter: number;
}

/** A line rings every 3 to 6 s; after this silence the caller has given up. */
const RING_GAP_MS = 8000;
/** The modems' training, at its slowest. */
const TRAINED_MS = 60_000;
/** How often an idle modem is set up anew: one that was switched off and on has forgotten, one that is dead is told of. */
const CHECK_MS = 10 * 60_000;

/** The modem has been set up and can be called. */
export function* makeReady(now: Millis, { device, init }: Answering): Script<Millis> {
  return yield* setUp(now, { device, commands: initCommands(init), failOnRing: false });
}

/** Waits for a call and takes it: after so many rings, or when the modem has answered by itself (S0). */
export function* answering(now: Millis, port: Answering): Script<Connected> {
  let rings = 0;
  let at = now;
  for (;;) {
    const heard = yield { until: millis(at + (rings > 0 ? RING_GAP_MS : CHECK_MS)), engaged: rings > 0 };
    switch (heard.result?.kind) {
      case 'connect':
        return { now: heard.now, bitsPerSecond: heard.result.bitsPerSecond };
      case 'ring':
        at = heard.now;
        if (++rings < port.answerAfter) break;
        rings = 0;
        const answered = yield* ask(at, ANSWER + CR, TRAINED_MS, CALL_RESULTS, true);
        at = answered.now;
        if (answered.result?.kind === 'connect')
          return { now: at, bitsPerSecond: answered.result.bitsPerSecond };
        if (answered.result === null) at = (yield* letGo(at)).now;
        break;
      case undefined:
        at = rings > 0 ? heard.now : yield* makeReady(heard.now, port);
        rings = 0;
        break;
      default:
        // A stray result of an earlier call: the wait goes on as it was.
        break;
    }
  }
}
