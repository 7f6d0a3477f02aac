import { expect } from 'chai';
import type { Range } from '../../../protocol/ranges.js';
import { idHex, parcelId, type ParcelId } from '../../../protocol/units.js';
import type { NullModem } from '../../support/null-modem.js';

/** A parcel of incompressible bytes for a simulation. */
export interface TestParcel {
  readonly id: ParcelId;
  readonly bytes: Uint8Array;
}

export const randomParcel = (modem: NullModem, size: number): TestParcel => ({
  id: parcelId(idHex(modem.random.bytes(16))),
  bytes: modem.random.bytes(size),
});

/** Queues it at the primary and wants it at the backup; `held` is what the backup has. */
export function stream(modem: NullModem, { id, bytes }: TestParcel, held: readonly Range[] = []): void {
  modem.backup.expect(id, bytes.length, held);
  modem.primary.link.sendParcel(id, bytes, held);
}

/** Until the primary knows that the backup holds so many parcels whole. */
export function runUntilHeld(modem: NullModem, count = 1): void {
  modem.runUntil(() => modem.primary.of('parcel-held').length >= count);
}

export function expectReceived(modem: NullModem, { id, bytes }: TestParcel): void {
  const received = modem.backup.received.get(id) ?? new Uint8Array();
  expect(Buffer.compare(received, bytes), 'the parcel as received').to.equal(0);
}
