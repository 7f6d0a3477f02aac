import { expect } from 'chai';
import { linkPace, NO_PACE, observe, secondsLeft, type Pace } from '../../../tui/view-models/pace.js';
import { link, primary, transfer, volume } from '../statuses.js';

const NAME = 'vault: /dev/ttyS0';
const STATE = transfer().to.id;

/** A status each second, with these counters. */
const seen = (sent: readonly number[], fractions: readonly number[] = []): Pace =>
  sent.reduce(
    (pace, bytesSent, second) =>
      observe(
        pace,
        primary({
          links: [link({ bytesSent, bytesReceived: 10 * second })],
          volumes: [volume({ transfer: transfer({ fraction: fractions[second] ?? 0 }) })],
        }),
        second * 1000,
      ),
    NO_PACE,
  );

describe('the pace of a link', () => {
  it('is not known from one look', () => {
    expect(linkPace(seen([1000]), NAME)).to.deep.equal({ out: null, in: null });
    expect(linkPace(NO_PACE, NAME)).to.deep.equal({ out: null, in: null });
  });

  it('is what crossed in the last seconds, each way', () => {
    expect(linkPace(seen([0, 1000, 3000]), NAME)).to.deep.equal({ out: 1500, in: 10 });
  });

  it('forgets what was long ago', () => {
    const idle = Array.from({ length: 12 }, () => 50_000);
    expect(linkPace(seen([0, 50_000, ...idle]), NAME).out).to.equal(0);
  });

  it('is unknown after the appliance was started again', () => {
    expect(linkPace(seen([9000, 10_000, 50]), NAME).out).to.equal(null);
  });
});

describe('the estimate of a transfer', () => {
  it('comes from the progress of the last seconds', () => {
    expect(secondsLeft(seen([0, 0, 0], [0.1, 0.2, 0.3]), 'ledger', STATE)).to.be.closeTo(7, 1e-9);
  });

  it('is unknown while nothing moves', () => {
    expect(secondsLeft(seen([0, 0, 0], [0.3, 0.3, 0.3]), 'ledger', STATE)).to.equal(null);
  });

  it('is unknown for another state', () => {
    expect(secondsLeft(seen([0, 0], [0.1, 0.2]), 'ledger', 'another')).to.equal(null);
  });
});
