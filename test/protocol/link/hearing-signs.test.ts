import { expect } from 'chai';
import { HearingSigns } from '../../../protocol/link/hearing-signs.js';
import { LineTimes } from '../../../protocol/link/line-times.js';
import { Timers, type LinkTimer } from '../../../protocol/link/timers.js';
import { millis } from '../../../protocol/units.js';
import { NullModem, type NullModemOptions } from '../../support/null-modem.js';
import { seedOfThisRun } from '../../support/seeded.js';
import { expectReceived, randomParcel, runUntilHeld, stream } from './parcels.js';

const BYTES_PER_SECOND = 5760;

/** A parcel over a line of 57600 baud; how many frames the backup sent, and how often the primary has cut a frame off. */
function carried(
  seed: number,
  size: number,
  options: Partial<NullModemOptions> = {},
  during: (modem: NullModem) => void = () => undefined,
): { readonly modem: NullModem; readonly abandoned: number } {
  const modem = new NullModem({ seed, line: { baud: 57600 }, ...options });
  const parcel = randomParcel(modem, size);
  let abandoned = 0;
  const abandon = modem.out.abandon.bind(modem.out);
  modem.out.abandon = (now) => {
    abandoned++;
    abandon(now);
  };
  stream(modem, parcel);
  during(modem);
  runUntilHeld(modem);
  expectReceived(modem, parcel);
  return { modem, abandoned };
}

describe('signs that a long frame is coming in', () => {
  const seed = seedOfThisRun();

  it(`stop when the line does, and the rest of the frame is not sent (SEED=${seed})`, () => {
    const undisturbed = carried(seed, 300_000).modem;
    let abandonedAt = Infinity;
    const { modem } = carried(seed, 300_000, {}, (line) => {
      line.runUntil(() => line.out.bytes > 150_000);
      line.runFor(100);
      const abandon = line.out.abandon.bind(line.out);
      const since = line.now;
      line.out.abandon = (now) => {
        abandonedAt = Math.min(abandonedAt, now - since);
        abandon(now);
      };
      line.fail(20_000);
    });
    // A frame takes 1.2 s, and the report on it would be late a quarter of a second after that.
    expect(abandonedAt).to.be.below(1000);
    expect(modem.out.bytes - undisturbed.out.bytes).to.be.below(6500);
  });

  it(`cost one short frame for each long one, and cut nothing off (SEED=${seed})`, () => {
    const { modem, abandoned } = carried(seed, 300_000);
    expect(abandoned).to.equal(0);
    expect(modem.back.bytes / modem.out.bytes).to.be.below(0.0105);
    expect(modem.primary.link.stats.promptsSent, 'with the last segment').to.equal(1);
  });

  it(`of a peer that makes none are not missed (SEED=${seed})`, () => {
    const { abandoned, modem } = carried(seed, 300_000, {}, ({ backup }) => {
      backup.link.handleArriving = () => undefined;
    });
    expect(abandoned).to.equal(0);
    expect(modem.back.bytes / modem.out.bytes).to.be.below(0.007);
    expect(modem.primary.link.stats.promptsSent).to.equal(1);
  });

  it(`are not made on a slow line, whose frames they would lengthen, nor through noise (SEED=${seed})`, () => {
    const slow = carried(seed, 20_000, { line: { baud: 2400 } });
    const silent = carried(seed, 20_000, { line: { baud: 2400 } }, ({ backup }) => {
      backup.link.handleArriving = () => undefined;
    });
    expect(slow.modem.back.bytes).to.equal(silent.modem.back.bytes);
    expect(slow.abandoned).to.equal(0);
    expect(carried(seed, 100_000, { line: { baud: 57600, bitErrorRate: 1e-4 } }).abandoned).to.be.below(3);
  });

  it('are few, however many bytes come in, and none when they have stopped', () => {
    const timers = new Timers<LinkTimer>();
    const times = new LineTimes(BYTES_PER_SECOND);
    const signs = new HearingSigns(times, timers);
    times.noteReceived(6912);
    let made = 0;
    for (let now = 0; now < 10_000; now += 2) {
      signs.noteArriving(millis(now));
      if (timers.takeExpired(millis(now)) === undefined || !signs.isDue(millis(now))) continue;
      made++;
      signs.noteSent(millis(now));
    }
    expect(made).to.be.within(15, 17);
    signs.noteArriving(millis(10_000));
    expect(signs.isDue(millis(10_101))).to.equal(false);
  });

  it('are made only of parcels that are expected', () => {
    const modem = new NullModem({ seed, line: { baud: 57600 } });
    modem.runUntil(() => modem.backup.of('established').length > 0);
    modem.drive();
    const before = modem.back.frames;
    for (let i = 0; i < 100; i++) {
      modem.backup.link.handleArriving(modem.now);
      modem.runFor(50);
    }
    expect(modem.back.frames).to.equal(before);
  });
});
