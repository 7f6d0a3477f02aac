import { expect } from 'chai';
import { MAX_WINDOW } from '../../../protocol/link/limits.js';
import { Window } from '../../../protocol/link/window.js';
import { NullModem } from '../../support/null-modem.js';
import { expectReceived, randomParcel, runUntilHeld, stream } from './parcels.js';

describe('the window of a line of unknown rate', () => {
  it('grows while it is what limits, up to its bound, and not when it is not', () => {
    const window = new Window();
    const first = window.bytes;
    window.note(10, MAX_WINDOW, false);
    expect(window.bytes).to.equal(first);
    for (let n = 0; n < 20; n++) window.note(10, MAX_WINDOW, true);
    expect(window.bytes).to.equal(MAX_WINDOW);
  });

  it('shrinks when answers become late, and keeps a floor', () => {
    const window = new Window();
    const floor = window.bytes;
    for (let n = 0; n < 20; n++) window.note(10, MAX_WINDOW, true);
    window.note(2000, MAX_WINDOW, true);
    expect(window.bytes).to.be.below(MAX_WINDOW / 5);
    for (let n = 0; n < 20; n++) window.note(60_000, MAX_WINDOW, true);
    expect(window.bytes).to.equal(floor);
  });

  it('lets a path that has become longer have its due in time', () => {
    const window = new Window();
    window.note(1, MAX_WINDOW, true);
    for (let n = 0; n < 1000; n++) window.note(600, MAX_WINDOW, true);
    expect(window.bytes).to.equal(MAX_WINDOW);
  });

  it('keeps little in the buffers of a slow network, and fills a long one', () => {
    // What a network of 100 kB/s has swallowed stands in this wire, which the link does not know to be slow.
    const slow = new NullModem({ seed: 1, line: { latency: 20 } });
    const parcel = randomParcel(slow, 2 << 20);
    slow.out.settings.queue = 100_000;
    stream(slow, parcel);
    let most = 0;
    slow.runUntil(() => {
      most = Math.max(
        most,
        slow.primary.link.stats.payloadSent - (slow.primary.of('progress').at(-1)?.held ?? 0),
      );
      return slow.primary.of('parcel-held').length > 0;
    });
    expectReceived(slow, parcel);
    expect(most).to.be.below(300_000);

    const long = new NullModem({ seed: 1, line: { latency: 150 } });
    const big = randomParcel(long, 24 << 20);
    stream(long, big);
    runUntilHeld(long);
    expect(long.now, 'round trips of 300 ms').to.be.below(12 * 300);
  }).timeout(20_000);
});
