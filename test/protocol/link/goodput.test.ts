import { expect } from 'chai';
import { CELLS, goodput, mean, payloadOf } from '../../bench/link/cells.js';
import { simulatedRun } from '../../bench/link/simulated-run.js';
import type { LineSettings } from '../../support/null-modem.js';

const SEEDS = process.env['FARCOPY_SOAK'] === '1' ? [...Array(25).keys()] : [1, 2, 3];

describe('goodput of a simulated line', function () {
  this.timeout(60_000);

  for (const cell of CELLS) {
    const { baud, latency, bitErrorRate, target } = cell;
    it(`${baud} baud, ${latency} ms, bit errors ${bitErrorRate}: at least ${target} %`, () => {
      const payload = payloadOf(cell);
      const line = { baud, latency, bitErrorRate };
      const runs = SEEDS.map((seed) => simulatedRun(line, payload, seed));
      expect(mean(runs.map(({ durableMs }) => goodput(payload, baud, durableMs)))).to.be.at.least(target);
    });
  }

  /** At least so many percent, with so many bytes sent for each byte of payload at most. */
  const OTHERS: readonly (readonly [string, LineSettings, number])[] = [
    ['bursts', { bursts: { every: 20_000, length: 40, bitErrorRate: 0.05 } }, 94],
    ['overruns', { overruns: { rate: 1e-5, bytes: 16 } }, 97],
    ['jitter of 100 ms', { jitter: 100 }, 98],
  ];
  for (const [name, line, least] of OTHERS) {
    it(`57600 baud with ${name}: at least ${least} %`, () => {
      const runs = SEEDS.map((seed) => simulatedRun({ baud: 57600, ...line }, 300_000, seed));
      expect(mean(runs.map(({ durableMs }) => goodput(300_000, 57600, durableMs)))).to.be.at.least(least);
    });
  }

  it('an outage of 20 s costs less than a second more wherever it comes, and on the average 3 % of the payload', () => {
    const undisturbed = simulatedRun({ baud: 57600 }, 300_000, 1);
    const sent: number[] = [];
    for (let at = 2000; at < 52_000; at += 2790) {
      const run = simulatedRun({ baud: 57600 }, 300_000, 1, (modem) => {
        modem.runFor(at);
        modem.fail(20_000);
      });
      expect(run.durableMs - undisturbed.durableMs, `after ${at} ms`).to.be.below(20_000 + 850);
      sent.push(run.bytesOut / 300_000);
    }
    // What is put in until the silence is noticed, and questions.
    expect(Math.max(...sent)).to.be.below(1.03);
    expect(mean(sent)).to.be.below(1.025);
  });

  it('an hour at 2400 baud with a bad line takes milliseconds, and 80 % of it is payload', () => {
    const payload = 690_000;
    const run = simulatedRun({ baud: 2400, latency: 100, bitErrorRate: 1e-5 }, payload, 1);
    expect(run.ms).to.be.below(3_600_000);
    expect(run.bytesOut).to.be.below(payload * 1.15);
  });

  it('works through an echo: what comes back of its own is nobody’s', () => {
    const run = simulatedRun({ baud: 57600 }, 60_000, 1);
    expect(run.modem.primary.link.stats.payloadRepeated).to.equal(0);
  });
});
