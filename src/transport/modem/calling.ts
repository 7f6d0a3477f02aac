import type { Millis } from '../../../protocol/units.js';
import { TransportError } from '../errors.js';
import { ask, type Heard, type Script } from './dialogue.js';
import { hangUp } from './hanging-up.js';
import { CALL_RESULTS, CR, dialCommand, initCommands, type ModemResult } from './hayes.js';
import { noModem, setUp } from './setting-up.js';

export interface Calling {
  readonly device: string;
  readonly init: readonly string[] | null;
  readonly number: string;
  /** From the dial command to CONNECT: dialling, ringing and the modems' training. */
  readonly connectMs: number;
}

/** A call that is up; what follows on the line belongs to it. */
export interface Connected {
  readonly now: Millis;
  /** As the modem reports it; null: it reports none. */
  readonly bitsPerSecond: number | null;
}

const CANCELLED_MS = 3000;

/** Sets the modem up, dials, and waits for the other modem. */
export function* calling(now: Millis, call: Calling): Script<Connected> {
  const { device, number, connectMs } = call;
  const ready = yield* setUp(now, { device, commands: initCommands(call.init), failOnRing: true });
  const dialled = yield* ask(ready, dialCommand(number) + CR, connectMs, CALL_RESULTS, true);
  if (dialled.result !== null) return connectedBy(dialled, call);
  const cancelled = yield* ask(dialled.now, CR, CANCELLED_MS, [...CALL_RESULTS, 'ok'], true);
  if (cancelled.result === null) throw noModem(device, cancelled.noise);
  if (cancelled.result.kind === 'connect') yield* hangUp(cancelled.now, 0);
  throw failure({ kind: 'no-answer' }, call);
}

function connectedBy({ now, result }: Heard, call: Calling): Connected {
  if (result?.kind === 'connect') return { now, bitsPerSecond: result.bitsPerSecond };
  throw failure(result as Exclude<ModemResult, { kind: 'connect' }>, call);
}

function failure({ kind }: Exclude<ModemResult, { kind: 'connect' }>, call: Calling): TransportError {
  const where = `${call.device}: ${call.number}`;
  switch (kind) {
    case 'busy':
      return new TransportError('busy', `${where} is busy`, 'the other modem is in a call; try again later');
    case 'no-answer':
      return new TransportError('no-answer', `${where} does not answer`, 'is the other side listening');
    case 'no-carrier':
      return new TransportError(
        'no-carrier',
        `${where}: no carrier`,
        'somebody answered who is no modem, or the modems could not agree on a speed',
      );
    case 'no-dialtone':
      return new TransportError(
        'no-dialtone',
        `${call.device}: no dial tone`,
        'is the telephone cord in; behind a switchboard, put X3 into `init` or an outside-line digit before the number',
      );
    case 'delayed':
    case 'blacklisted':
      return new TransportError(
        'barred',
        `${call.device}: the modem refuses to dial ${call.number} again so soon (${kind})`,
        'it counts failed calls, as some countries demand: wait, or switch it off and on',
      );
    case 'ok':
    case 'ring':
    case 'error':
      return new TransportError(
        'modem-error',
        `${call.device}: the modem refuses to dial ${call.number}`,
        'check the number under `dial`',
      );
    default:
      return kind satisfies never;
  }
}
