import { idHex, parcelId } from '../../../protocol/units.js';
import { NullModem, type LineSettings } from '../../support/null-modem.js';

/** Sizes of what is said around a set of one parcel, as the product says it, bytes. */
const HELLO = { primary: 60, backup: 130 };
const OFFER = 110;
const ANNOUNCE = 75;
const COMMIT = 100;
const DURABLE = 45;

export interface SimulatedRun {
  /** From the first byte of the call until the backup says DURABLE. */
  readonly durableMs: number;
  /** The same until the primary has heard it. */
  readonly ms: number;
  /** On the wire from the primary, and to it. */
  readonly bytesOut: number;
  readonly bytesBack: number;
  readonly payloadSent: number;
  readonly modem: NullModem;
}

/** One set of `payload` bytes in one call, on the virtual clock. `during` may disturb the line before it runs. */
export function simulatedRun(
  line: LineSettings,
  payload: number,
  seed: number,
  during: (modem: NullModem) => void = () => undefined,
): SimulatedRun {
  const modem = new NullModem({
    seed,
    line,
    primary: { hello: new Uint8Array(HELLO.primary) },
    backup: { answer: () => new Uint8Array(HELLO.backup) },
  });
  const { primary, backup } = modem;
  const id = parcelId(idHex(modem.random.bytes(16)));
  const bytes = modem.random.bytes(payload);
  primary.onEvent = (event) => {
    if (event.kind !== 'established') return;
    for (const size of [OFFER, ANNOUNCE, COMMIT]) primary.link.sendMessage(modem.random.bytes(size));
    primary.link.sendParcel(id, bytes, []);
  };
  let kept = 0;
  let durableMs: number | undefined;
  backup.onEvent = (event) => {
    if (event.kind === 'message' && backup.messages.length === 1) backup.expect(id, payload);
    if (event.kind === 'segment') kept += event.bytes.length;
    if (durableMs !== undefined || kept < payload || backup.messages.length < 2) return;
    durableMs = modem.now;
    backup.link.sendMessage(modem.random.bytes(DURABLE));
  };
  during(modem);
  modem.runUntil(() => primary.messages.length > 0, 36_000_000);
  return {
    durableMs: durableMs ?? Infinity,
    ms: modem.now,
    bytesOut: modem.out.bytes,
    bytesBack: modem.back.bytes,
    payloadSent: primary.link.stats.payloadSent,
    modem,
  };
}
