import { expect } from 'chai';
import { combineLines, NO_LINE_BYTES, type LineBytes } from '../../../protocol/set-account.js';
import { lineBytes, LineLedger } from '../../../src/appliance/line-ledger.js';
import { ZERO } from '../../../src/appliance/link-meter.js';
import { Seeded, seedOfThisRun } from '../../support/seeded.js';

const line = (toBackup: number, handshake = 0): LineBytes => ({
  toBackup: { data: toBackup, control: 10, repeated: 4, handshake },
  toPrimary: { data: 0, control: 6, repeated: 0, handshake: 0 },
});
const sum = (a: LineBytes, b: LineBytes): LineBytes => combineLines(a, b, (x, y) => x + y);

describe('whose the bytes on the lines of a peer are', () => {
  let total = NO_LINE_BYTES;
  let ledger = new LineLedger();
  const cross = (more: LineBytes): void => {
    total = sum(total, more);
  };
  beforeEach(() => {
    total = NO_LINE_BYTES;
    ledger = new LineLedger();
    ledger.watch(() => total);
  });

  it('of the only set under way all of them, with the handshake that came before it', () => {
    cross(line(500, 130));
    ledger.begin('ledger');
    cross(line(1000));
    ledger.begin('ledger');
    expect(ledger.account('ledger')).to.deep.equal(line(1000, 130));
    cross(line(1));
    expect(ledger.end('ledger')).to.deep.equal(sum(line(1000, 130), line(1)));
    expect(ledger.account('ledger')).to.equal(null);
    cross(line(77));
    ledger.begin('ledger');
    expect(ledger.account('ledger')).to.deep.equal(NO_LINE_BYTES, 'what crossed between sets is of none');
  });

  it('of several, data by what of each has arrived, the rest in equal parts', () => {
    ledger.begin('small');
    ledger.begin('large');
    ledger.moved('small', 100);
    ledger.moved('large', 900);
    cross(line(1000));
    expect(ledger.end('small')?.toBackup).to.deep.equal({ data: 100, control: 5, repeated: 2, handshake: 0 });
    cross(line(50));
    expect(ledger.end('large')?.toBackup).to.deep.equal({
      data: 950,
      control: 15,
      repeated: 6,
      handshake: 0,
    });
  });

  it('add up, whoever begins and ends when', () => {
    const seed = seedOfThisRun();
    console.log(`      SEED=${seed}`);
    const seeded = new Seeded(seed);
    const names = ['a', 'b', 'c'];
    let told = NO_LINE_BYTES;
    ledger.begin('a');
    for (let i = 0; i < 300; i++) {
      const name = seeded.pick(names);
      if (seeded.chance(0.4)) ledger.begin(name);
      ledger.moved(name, seeded.below(500));
      cross(line(seeded.below(5000), seeded.below(50)));
      // One stays, or what crosses meanwhile is of none.
      if (name !== 'a' && seeded.chance(0.3)) told = sum(told, ledger.end(name) ?? NO_LINE_BYTES);
    }
    for (const name of names) told = sum(told, ledger.end(name) ?? NO_LINE_BYTES);
    expect(told).to.deep.equal(total);
  });

  it('are told from the counters of either side, each direction to its last byte', () => {
    const totals = {
      ...ZERO,
      ...{ bytesSent: 1000, payloadSent: 700, bytesRepeated: 100, handshakeSent: 90 },
      ...{ bytesReceived: 400, payloadReceived: 50, bytesDuplicate: 20, handshakeReceived: 80 },
    };
    const sent = { data: 600, control: 210, repeated: 100, handshake: 90 };
    const received = { data: 50, control: 250, repeated: 20, handshake: 80 };
    expect(lineBytes(totals, 'primary')).to.deep.equal({ toBackup: sent, toPrimary: received });
    expect(lineBytes(totals, 'backup')).to.deep.equal({ toBackup: received, toPrimary: sent });
  });
});
