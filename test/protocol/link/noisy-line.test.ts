import { expect } from 'chai';
import { NullModem, type LineSettings } from '../../support/null-modem.js';
import { seedOfThisRun } from '../../support/seeded.js';
import { expectReceived, randomParcel, runUntilHeld, stream } from './parcels.js';

const bursts = { every: 20_000, length: 40, bitErrorRate: 0.05 };

/** Line, parcel, and the most bytes on the wire for each byte of it. */
const LINES: readonly (readonly [string, LineSettings, number, number])[] = [
  ['1e-6 bit errors', { baud: 57600, bitErrorRate: 1e-6 }, 300_000, 1.12],
  ['1e-5 bit errors', { baud: 57600, bitErrorRate: 1e-5 }, 300_000, 1.3],
  ['1e-5 bit errors and 250 ms', { baud: 57600, bitErrorRate: 1e-5, latency: 250 }, 300_000, 1.3],
  ['1e-4 bit errors', { baud: 57600, bitErrorRate: 1e-4 }, 60_000, 4],
  ['1e-4 bit errors and 250 ms', { baud: 57600, bitErrorRate: 1e-4, latency: 250 }, 60_000, 4],
  ['1e-4 bit errors at 2400 baud', { baud: 2400, bitErrorRate: 1e-4, latency: 100 }, 30_000, 2.2],
  ['bursts', { baud: 57600, bursts }, 300_000, 1.25],
  ['every third frame lost', { baud: 57600, frameLoss: 0.33, latency: 50 }, 100_000, 2],
];

/** On such a line the handshake alone may take longer than a caller's usual patience. */
const PATIENT = { handshakeTimeout: 600_000 };
/** A session that loses every second frame may hear nothing for half a minute. */
const UNSHAKEN = { deadAfter: 600_000 };

describe('link on a bad line', () => {
  const seed = seedOfThisRun();

  for (const [name, line, size, most] of LINES) {
    it(`brings a parcel across with ${name} (SEED=${seed})`, () => {
      const modem = new NullModem({ seed, line, primary: PATIENT });
      const parcel = randomParcel(modem, size);
      stream(modem, parcel);
      modem.driveBounded(200_000);
      expect(modem.primary.of('parcel-held')).to.have.length(1);
      expectReceived(modem, parcel);
      expect(modem.bytes / size, 'bytes on the wire for each byte').to.be.below(most);
    });
  }

  it(`delivers each message once and in order although every second frame is lost (SEED=${seed})`, () => {
    const modem = new NullModem({
      seed,
      line: { baud: 9600, frameLoss: 0.5, latency: 30 },
      primary: { ...PATIENT, ...UNSHAKEN },
      backup: UNSHAKEN,
    });
    const numbered = (count: number): string[] => Array.from({ length: count }, (_, i) => `message ${i}`);
    const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
    for (const message of numbered(100)) modem.primary.link.sendMessage(Buffer.from(message));
    for (const message of numbered(50)) modem.backup.link.sendMessage(Buffer.from(message));
    modem.runUntil(() => modem.primary.link.isIdle && modem.backup.link.isIdle);
    expect(modem.backup.messages.map(text)).to.deep.equal(numbered(100));
    expect(modem.primary.messages.map(text)).to.deep.equal(numbered(50));
  });

  it('outlives an outage of twenty seconds, and goes on within two seconds after it', () => {
    const undisturbed = new NullModem({ seed, line: { baud: 57600, latency: 20 } });
    stream(undisturbed, randomParcel(undisturbed, 200_000));
    runUntilHeld(undisturbed);

    const modem = new NullModem({ seed, line: { baud: 57600, latency: 20 } });
    const parcel = randomParcel(modem, 200_000);
    stream(modem, parcel);
    modem.runFor(10_000);
    for (const wire of [modem.out, modem.back]) wire.settings.stuck = true;
    modem.runFor(20_000);
    for (const wire of [modem.out, modem.back]) wire.settings.stuck = false;
    runUntilHeld(modem);
    expectReceived(modem, parcel);
    expect(modem.now - undisturbed.now).to.be.below(20_000 + 2000);
    expect(modem.primary.link.stats.payloadRepeated).to.be.below(200_000 * 0.04);
  });

  for (const side of ['out', 'back'] as const) {
    it(`sends no new data into a line whose ${side}ward direction is stuck, and gives the peer up`, () => {
      const modem = new NullModem({ seed, line: { baud: 57600 } });
      stream(modem, randomParcel(modem, 300_000));
      modem.runFor(10_000);
      modem[side].settings.stuck = true;
      const before = modem.out.bytes;
      modem.runFor(3000);
      const { payloadSent } = modem.primary.link.stats;
      modem.runUntil(() => modem.primary.link.state === 'closed', 60_000);
      expect(modem.primary.of('closed').map(({ reason }) => reason)).to.deep.equal(['peer-silent']);
      expect(modem.out.bytes - before, 'the frame under way, a part of the next, and questions').to.be.below(
        3 * 5760,
      );
      expect(modem.primary.link.stats.payloadSent, 'and nothing new').to.equal(payloadSent);
      expect(modem.primary.link.pollTimeout()).to.equal(undefined);
    });
  }

  it('refuses frames that come twice, out of order, or long after, and loses nothing by them', () => {
    let held: Uint8Array | undefined;
    const old: Uint8Array[] = [];
    let count = 0;
    const tap = (frame: Uint8Array): Uint8Array[] => {
      old.push(frame);
      switch (count++ % 5) {
        case 1:
          return [frame, frame];
        case 2:
          held = frame;
          return [];
        case 3:
          return held === undefined ? [frame] : [frame, held];
        case 4:
          return [frame, old[Math.floor(old.length / 2)]!];
        default:
          return [frame];
      }
    };
    const modem = new NullModem({ seed, line: { baud: 57600 }, out: { tap } });
    const parcel = randomParcel(modem, 60_000);
    for (let i = 0; i < 20; i++) modem.primary.link.sendMessage(Buffer.from([i]));
    stream(modem, parcel);
    modem.drive();
    expectReceived(modem, parcel);
    expect(modem.backup.messages.map((bytes) => bytes[0])).to.deep.equal(
      Array.from({ length: 20 }, (_, i) => i),
    );
    expect(modem.backup.link.stats.framesRejected).to.be.above(20);
    expect(modem.backup.link.stats.framesDamaged).to.equal(0);
  });
});
