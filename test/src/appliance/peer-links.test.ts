import { expect } from 'chai';
import { CallRecord } from '../../../src/appliance/call-budget.js';
import type { PeerLink } from '../../../src/appliance/outgoing-link.js';
import { PeerLinks } from '../../../src/appliance/peer-links.js';
import { Ports } from '../../../src/appliance/ports.js';
import { silentLog } from '../../../src/platform/log.js';
import { millis, parcelId } from '../../../protocol/units.js';
import type { Clock } from '../../../src/platform/clock.js';
import { TransportError } from '../../../src/transport/errors.js';
import type { Dialer } from '../../../src/transport/transport.js';
import { MemoryFiles } from '../../support/memory-files.js';
import { Cable } from './cable.js';

const DAY = 24 * 3_600_000;

function links(
  cable: Cable,
  link: Partial<PeerLink> & { readonly dialer: Dialer },
  clock: Clock = cable.clock,
): PeerLinks {
  return new PeerLinks({
    peer: 'backup',
    publicKey: cable.keys.backup.publicKey,
    links: [{ onDemand: true, window: null, budget: null, costPerMinute: null, floor: null, ...link }],
    site: cable.site('primary'),
    clock,
    log: silentLog,
    events: cable.events,
    hasWork: () => true,
    calledBy: () => null,
  });
}

const textsOf = (cable: Cable): readonly string[] => cable.events.events.map(({ text }) => text);

describe('a link that is wanted', () => {
  it('is dialled at the first look, by a clock that goes on while it is looked at', async () => {
    const cable = new Cable();
    const { clock } = cable;
    let ticks = 0;
    const ticking: Clock = {
      now: () => millis(clock.now() + ticks++ / 1000),
      wall: () => clock.wall(),
      after: (delay, fire) => clock.after(delay, fire),
    };
    let dialled = 0;
    const dialer: Dialer = {
      name: 'cable',
      type: 'serial',
      dial: () => {
        dialled++;
        return new Promise(() => undefined);
      },
    };
    const peer = links(cable, { dialer, onDemand: false }, ticking);
    peer.start();
    await clock.pass(0);
    expect(dialled).to.equal(1);
  });
});

describe('a link that costs', () => {
  it('is dialled no more often than a day allows, and again when the first call is a day ago', async () => {
    const cable = new Cable();
    const { clock } = cable;
    const record = await CallRecord.open(new MemoryFiles(), '/calls.json');
    let dialled = 0;
    const dialer: Dialer = {
      name: 'modem to 5551234',
      type: 'modem',
      dial: () => {
        dialled++;
        return Promise.reject(new TransportError('busy', '5551234 is busy'));
      },
    };
    const peer = links(cable, { dialer, budget: record.budget('backup: modem', 5), costPerMinute: 0.5 });
    peer.start();
    await clock.pass(DAY / 2);
    expect(dialled).to.equal(5);
    expect(textsOf(cable).filter((text) => text.includes('callsPerDay'))).to.have.lengthOf(1);
    await clock.pass(DAY / 2 + 60_000);
    expect(dialled).to.be.greaterThan(5);
    await peer.close();
  });

  it('is not charged for an attempt that did not reach the telephone line', async () => {
    const cable = new Cable();
    const record = await CallRecord.open(new MemoryFiles(), '/calls.json');
    let dialled = 0;
    const dialer: Dialer = {
      name: 'modem to 5551234',
      type: 'modem',
      dial: () => {
        dialled++;
        return Promise.reject(new TransportError('no-device', 'no such device'));
      },
    };
    const peer = links(cable, { dialer, budget: record.budget('backup: modem', 5) });
    peer.start();
    await cable.clock.pass(DAY / 24);
    expect(dialled).to.be.greaterThan(20);
    await peer.close();
  });

  it('is hung up when it carries less than its floor, and rests long', async () => {
    const cable = new Cable();
    const { clock, modem } = cable;
    const far = new Ports(cable.site('backup'), cable.events);
    far.listen(modem.listener);
    cable.session = (link) => {
      link.sendParcel(parcelId('00'.repeat(16)), cable.seeded.bytes(10_000_000), []);
      return {
        handleMessage: () => undefined,
        handleSegment: () => undefined,
        handleProgress: () => undefined,
        handleParcelHeld: () => undefined,
        handleEnd: () => undefined,
      };
    };
    const peer = links(cable, {
      dialer: modem.dialer,
      floor: { minBytesPerSecond: 100, overMs: 30_000 },
    });
    peer.start();
    await clock.until('the call is up', () => cable.met.length === 2, 10_000);
    await clock.pass(29_000);
    expect(textsOf(cable).some((text) => text.includes('minRate'))).to.equal(false);
    await clock.pass(3000);
    expect(textsOf(cable).some((text) => text.includes('minRate'))).to.equal(true);
    await clock.pass(5000);
    expect(cable.met).to.have.lengthOf(2);
    await Promise.all([peer.close(), far.close(), clock.pass(5000)]);
  });
});
