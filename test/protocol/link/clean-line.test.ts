import { expect } from 'chai';
import { NullModem } from '../../support/null-modem.js';
import { seedOfThisRun } from '../../support/seeded.js';
import { expectReceived, randomParcel, runUntilHeld, stream } from './parcels.js';

const SIZE = 300_000;

describe('link on a clean line', () => {
  const seed = seedOfThisRun();
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

  it('introduces both sides to each other in one round trip and a half', () => {
    const modem = new NullModem({ seed, line: { baud: 57600, latency: 100 } });
    modem.drive();
    expect(modem.primary.of('established').map(({ hello }) => text(hello))).to.deep.equal([
      'hello from the backup',
    ]);
    expect(modem.backup.of('established').map(({ hello }) => text(hello))).to.deep.equal([
      'hello from the primary',
    ]);
    expect(modem.bytes, 'bytes for a call that has nothing to say').to.be.below(350);
    expect([modem.out.frames, modem.back.frames]).to.deep.equal([2, 2]);
  });

  for (const latency of [0, 75, 250]) {
    it(`sends 300 KB at 57,600 baud and ${latency} ms with under 5 % on top and nothing twice`, () => {
      const modem = new NullModem({ seed, line: { baud: 57600, latency } });
      const parcel = randomParcel(modem, SIZE);
      stream(modem, parcel);
      runUntilHeld(modem);
      expectReceived(modem, parcel);
      const { payloadSent, payloadRepeated, promptsSent } = modem.primary.link.stats;
      expect({ payloadSent, payloadRepeated, promptsSent }).to.deep.equal({
        payloadSent: SIZE,
        payloadRepeated: 0,
        promptsSent: 1,
      });
      expect(modem.bytes).to.be.below(SIZE * 1.05);
      const onTheLine = (SIZE / 5760) * 1000;
      expect(modem.now, 'waits for nothing').to.be.below(onTheLine * 1.05 + 6 * latency + 500);
    });
  }

  it('waits for no acknowledgement: a second of latency costs round trips, not rate', () => {
    const modem = new NullModem({ seed, line: { baud: 9600, latency: 1000 } });
    const parcel = randomParcel(modem, 60_000);
    stream(modem, parcel);
    runUntilHeld(modem);
    expect(modem.primary.link.stats.payloadSent).to.equal(60_000);
    expect(modem.now).to.be.below((60_000 / 960) * 1000 * 1.25 + 8000);
  });

  it('puts a message ahead of all data but the frame on the wire', () => {
    const modem = new NullModem({ seed, line: { baud: 2400 } });
    stream(modem, randomParcel(modem, 20_000));
    modem.runFor(30_000);
    const asked = modem.now;
    modem.primary.link.sendMessage(Buffer.from('urgent'));
    modem.runUntil(() => modem.backup.messages.length === 1);
    const frameOf = (bytes: number): number => (bytes * 1000) / 240;
    expect(modem.now - asked).to.be.below(frameOf(200 + 40) + frameOf(60));
  });

  it('delivers messages in order and once, also those queued before there is a session, and long ones', () => {
    const modem = new NullModem({ seed, line: { baud: 57600, latency: 20 } });
    const long = modem.random.bytes(5000);
    const sent = [Buffer.from('first'), Buffer.alloc(0), long, Buffer.from('last')];
    for (const message of sent) modem.primary.link.sendMessage(message);
    modem.backup.link.sendMessage(Buffer.from('from the other side'));
    modem.drive();
    expect(modem.backup.messages.map(text)).to.deep.equal(sent.map(text));
    expect(modem.primary.messages.map(text)).to.deep.equal(['from the other side']);
    expect(modem.primary.link.stats.messagesRepeated).to.equal(0);
    expect(modem.primary.link.isIdle).to.equal(true);
  });

  it('sends parcels in the order queued, both ways at once', () => {
    const modem = new NullModem({ seed, line: { baud: 115200 } });
    const parcels = [10_000, 0, 30_000].map((size) => randomParcel(modem, size));
    const back = randomParcel(modem, 20_000);
    for (const parcel of parcels) stream(modem, parcel);
    modem.primary.expect(back.id, back.bytes.length);
    modem.backup.link.sendParcel(back.id, back.bytes, []);
    modem.drive();
    expect(modem.primary.of('parcel-held').map(({ parcel }) => parcel)).to.deep.equal([
      parcels[1]!.id,
      parcels[0]!.id,
      parcels[2]!.id,
    ]);
    for (const parcel of parcels) expectReceived(modem, parcel);
    expect(Buffer.compare(modem.primary.received.get(back.id)!, back.bytes)).to.equal(0);
  });

  it('reports only what is kept, and a slow store makes nothing look lost', () => {
    const modem = new NullModem({ seed, line: { baud: 115200 } });
    modem.backup.keepDelay = 4000;
    const parcel = randomParcel(modem, 60_000);
    stream(modem, parcel);
    modem.backup.onEvent = () => {
      const kept = modem.backup.of('segment').length - modem.backup.kept.length;
      const known = modem.primary.of('progress').at(-1)?.held ?? 0;
      expect(known).to.be.at.most(kept * 2000);
    };
    runUntilHeld(modem);
    expectReceived(modem, parcel);
    expect(modem.primary.link.stats.payloadRepeated).to.equal(0);
    expect(modem.now).to.be.above(4000);
  });

  it('is quiet when idle: under a byte a second, both ways together', () => {
    const modem = new NullModem({ seed, line: { baud: 57600 } });
    modem.drive();
    const before = modem.bytes;
    modem.runFor(3_600_000);
    expect(modem.primary.link.state).to.equal('established');
    expect(modem.bytes - before)
      .to.be.below(3600)
      .and.above(0);
  });

  it('streams over a fast line with few reports, in bounded flight', () => {
    const modem = new NullModem({ seed, line: { latency: 2 } });
    modem.backup.keepDelay = 3;
    const parcel = randomParcel(modem, 24 << 20);
    stream(modem, parcel);
    modem.driveBounded(20_000);
    expectReceived(modem, parcel);
    const { payloadRepeated, reportsReceived, framesSent } = modem.primary.link.stats;
    expect(payloadRepeated).to.equal(0);
    expect(reportsReceived).to.be.below(framesSent / 20);
    expect(modem.bytes).to.be.below(parcel.bytes.length * 1.006);
  }).timeout(20_000);
});
