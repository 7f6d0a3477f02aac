import { stateId, volumeId } from '../../../protocol/units.js';
import { encodeHello } from '../../../protocol/messages/codec.js';
import { MAX_ANSWER_HELLO_BYTES, MAX_CALLER_HELLO_BYTES } from '../../../protocol/messages/limits.js';
import { SOFTWARE } from '../../../src/appliance/appliance.js';
import { NullModem, type LineSettings } from '../../support/null-modem.js';

/** What appliances say of themselves: a primary, and a backup with the copy of one volume. */
const HELLOS = {
  primary: encodeHello(
    { name: 'branch-12', software: SOFTWARE, copies: [], complete: true },
    MAX_CALLER_HELLO_BYTES,
  ),
  backup: encodeHello(
    {
      name: 'vault',
      software: SOFTWARE,
      copies: [
        {
          kind: 'copy-status',
          volume: 'ledger',
          volumeId: volumeId('a'.repeat(32)),
          state: stateId('b'.repeat(32)),
          capture: null,
          opening: 'c'.repeat(16),
        },
      ],
      complete: true,
    },
    MAX_ANSWER_HELLO_BYTES,
  ),
};

const modemOf = (line: LineSettings, seed: number): NullModem =>
  new NullModem({
    seed,
    line,
    primary: { hello: HELLOS.primary },
    backup: { answer: () => HELLOS.backup },
  });

/** Bytes both ways on an open link on which nothing is to be said for so many ms, on the virtual clock. */
export function idleBytes(line: LineSettings, duration: number, seed: number): number {
  const modem = modemOf(line, seed);
  modem.drive();
  const before = modem.bytes;
  modem.runFor(duration);
  return modem.bytes - before;
}

/** A call that found nothing to send. */
export interface EmptyCall {
  /** Both ways, handshake and farewell included. */
  readonly bytes: number;
  readonly framesOut: number;
  readonly framesBack: number;
  /** Until both sides knew that it was over. */
  readonly ms: number;
}

/** A primary that calls, hears that the copy is where it should be, and hangs up. */
export function emptyCall(line: LineSettings, seed: number): EmptyCall {
  const modem = modemOf(line, seed);
  const { primary, backup } = modem;
  primary.onEvent = (event) => {
    if (event.kind === 'established') primary.link.close('done');
  };
  modem.runUntil(() => backup.of('closed').length > 0);
  return {
    bytes: modem.bytes,
    framesOut: modem.out.frames,
    framesBack: modem.back.frames,
    ms: modem.now,
  };
}
