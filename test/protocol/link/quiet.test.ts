import { expect } from 'chai';
import { emptyCall, idleBytes } from '../../bench/link/quiet-runs.js';

const HOUR = 3_600_000;
const SEED = 7;

describe('a line on which nothing is to be said', () => {
  for (const [name, line, expected] of [
    // A question on a line of known rate has a delimiter in front; the line's own time makes it 47 of them, not 48.
    ['2400 baud', { baud: 2400 }, 47 * 52],
    ['57600 baud', { baud: 57600 }, 47 * 52],
    ['TCP', {}, 48 * 51],
  ] as const) {
    it(`carries a question and its answer every 75 s on an open link: ${name}`, () => {
      const bytes = idleBytes(line, HOUR, SEED);
      expect(bytes).to.equal(expected);
      expect(bytes).to.be.below(HOUR / 1000);
    });

    it(`carries three frames when a call finds nothing to send: ${name}`, () => {
      const call = emptyCall(line, SEED);
      expect([call.framesOut, call.framesBack]).to.deep.equal([2, 1]);
      expect(call.bytes).to.be.within(250, 300);
    });
  }

  it('is given back after one round trip and a half', () => {
    const line = { baud: 57600 };
    const far = emptyCall({ ...line, latency: 250 }, SEED).ms;
    expect(far - emptyCall(line, SEED).ms).to.equal(1.5 * 2 * 250);
  });
});
