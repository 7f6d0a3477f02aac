import { expect } from 'chai';
import { RangeSet, type Range } from '../../../protocol/ranges.js';
import { NullModem } from '../../support/null-modem.js';
import { Seeded, seedOfThisRun } from '../../support/seeded.js';
import { expectReceived, randomParcel, runUntilHeld, stream, type TestParcel } from './parcels.js';

const SIZE = 120_000;

/** A call cut off after `cutAfter` ms: what the backup has stored, and what it had reported by then. */
function firstCall(
  seed: number,
  cutAfter: number,
): { modem: NullModem; parcel: TestParcel; kept: RangeSet; reported: number } {
  const modem = new NullModem({ seed, line: { baud: 57600, latency: 30 } });
  const parcel = randomParcel(modem, SIZE);
  const kept = new RangeSet();
  modem.backup.onEvent = (event) => {
    if (event.kind === 'segment') kept.add(event.offset, event.offset + event.bytes.length);
  };
  stream(modem, parcel);
  modem.runFor(cutAfter);
  modem.dropCarrier();
  return { modem, parcel, kept, reported: modem.primary.of('progress').at(-1)?.held ?? 0 };
}

function secondCall(
  first: NullModem,
  parcel: TestParcel,
  stored: Uint8Array,
  held: readonly Range[],
): NullModem {
  const modem = new NullModem({ seed: 7, line: { baud: 57600, latency: 30 }, keys: first.keys });
  modem.backup.received.set(parcel.id, Uint8Array.from(stored));
  stream(modem, parcel, held);
  runUntilHeld(modem);
  return modem;
}

describe('a call after a dropped one', () => {
  const seed = seedOfThisRun();

  it(`sends exactly what the backup does not hold, wherever the first was cut (SEED=${seed})`, () => {
    const random = new Seeded(seed);
    for (let i = 0; i < 12; i++) {
      const { modem, parcel, kept, reported } = firstCall(seed + i, random.below(21_000));
      const second = secondCall(modem, parcel, modem.backup.received.get(parcel.id)!, kept.ranges);
      expectReceived(second, parcel);
      expect(second.primary.link.stats.payloadSent).to.equal(SIZE - kept.size);
      expect(second.backup.link.stats.payloadDuplicate).to.equal(0);
      expect(kept.size, 'what was reported was stored').to.be.at.least(reported);
    }
  });

  it('says at once that a parcel is held when nothing of it is missing', () => {
    const { modem, parcel } = firstCall(seed, 60_000);
    const second = new NullModem({ seed, keys: modem.keys });
    second.primary.link.sendParcel(parcel.id, parcel.bytes, [{ start: 0, end: SIZE }]);
    second.drive();
    expect(second.primary.of('parcel-held')).to.have.length(1);
    expect(second.primary.link.stats.payloadSent).to.equal(0);
  });

  it('sends again what the primary believed held and the backup has lost since', () => {
    const modem = new NullModem({ seed, line: { baud: 57600 } });
    const parcel = randomParcel(modem, 20_000);
    modem.backup.expect(parcel.id, 20_000, [{ start: 0, end: 5000 }]);
    modem.backup.received.get(parcel.id)!.set(parcel.bytes.subarray(0, 5000));
    modem.primary.link.sendParcel(parcel.id, parcel.bytes, [{ start: 0, end: 12_000 }]);
    runUntilHeld(modem);
    expectReceived(modem, parcel);
    expect(modem.primary.link.stats.payloadSent).to.equal(15_000);
  });
});

describe('the layer above a link', () => {
  const seed = seedOfThisRun();

  it('may want a parcel only after its segments have begun to come', () => {
    const modem = new NullModem({ seed, line: { baud: 57600, latency: 40 } });
    const parcel = randomParcel(modem, 30_000);
    modem.primary.link.sendParcel(parcel.id, parcel.bytes, []);
    modem.runUntil(() => modem.backup.of('parcel-offered').length > 0);
    modem.runFor(2000);
    modem.backup.expect(parcel.id, 30_000);
    runUntilHeld(modem);
    expectReceived(modem, parcel);
    expect(modem.backup.of('parcel-offered')).to.have.length(1);
    expect(modem.primary.link.stats.payloadRepeated).to.equal(0);
  });

  it('that already holds a part of such a parcel is not sent it again for that', () => {
    const modem = new NullModem({ seed, line: { baud: 57600, latency: 40 } });
    const parcel = randomParcel(modem, 30_000);
    const held = [{ start: 0, end: 20_000 }];
    modem.primary.link.sendParcel(parcel.id, parcel.bytes, held);
    modem.runFor(5000);
    modem.backup.received.set(parcel.id, Uint8Array.from(parcel.bytes).fill(0, 20_000));
    modem.backup.expect(parcel.id, 30_000, held);
    runUntilHeld(modem);
    expectReceived(modem, parcel);
    expect(modem.primary.link.stats.payloadSent).to.equal(10_000);
  });

  it('may refuse a parcel, and the next one is sent', () => {
    const modem = new NullModem({ seed, line: { baud: 57600 } });
    const unwanted = randomParcel(modem, 50_000);
    const wanted = randomParcel(modem, 5000);
    modem.backup.onEvent = (event) => {
      if (event.kind === 'parcel-offered') modem.backup.link.refuseParcel(event.parcel);
    };
    modem.primary.link.sendParcel(unwanted.id, unwanted.bytes, []);
    stream(modem, wanted);
    modem.drive();
    expect(modem.primary.of('parcel-refused').map(({ parcel }) => parcel)).to.deep.equal([unwanted.id]);
    expectReceived(modem, wanted);
    expect(modem.primary.link.stats.payloadSent).to.be.below(20_000);
  });

  it('may withdraw a parcel in the middle, and send it again later', () => {
    const modem = new NullModem({ seed, line: { baud: 57600 } });
    const parcel = randomParcel(modem, 50_000);
    stream(modem, parcel);
    modem.runFor(3000);
    modem.primary.link.withdrawParcel(parcel.id);
    modem.runFor(3000);
    const sent = modem.primary.link.stats.payloadSent;
    expect(sent, 'and the frame that was on the line').to.be.below(3 * 5760 + 7000);
    expect(modem.primary.link.isIdle).to.equal(true);
    modem.primary.link.sendParcel(parcel.id, parcel.bytes, []);
    runUntilHeld(modem);
    expectReceived(modem, parcel);
  });

  it('may forget a parcel as soon as it has stored it, and the sender still hears of it', () => {
    const modem = new NullModem({ seed, line: { baud: 57600, latency: 200 } });
    const parcel = randomParcel(modem, 5000);
    stream(modem, parcel);
    modem.backup.onEvent = (event) => {
      if (event.kind === 'segment' && event.offset + event.bytes.length === 5000) {
        modem.backup.link.kept(parcel.id, event.offset, 5000);
        modem.backup.link.forgetParcel(parcel.id);
      }
    };
    modem.drive();
    expect(modem.primary.of('parcel-held')).to.have.length(1);
    expect(modem.primary.link.stats.payloadSent).to.equal(5000);
  });
});
