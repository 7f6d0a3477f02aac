import { expect } from 'chai';
import { judgeLine, LINE_PATTERN } from '../../../src/doctor/line-pattern.js';
import { explain } from '../../../src/doctor/line-test.js';
import { Seeded, seedOfThisRun } from '../../support/seeded.js';

/** What comes out of a line that does `bend` to each byte; null: the byte is swallowed. */
const through = (bend: (byte: number) => readonly number[], rounds = 3): Buffer =>
  Buffer.from(Array.from({ length: rounds }, () => [...LINE_PATTERN].flatMap(bend)).flat());

const valuesLost = (bend: (byte: number) => readonly number[]): readonly number[] =>
  judgeLine(through(bend)).lost.map(({ value }) => value);

describe('the line test', () => {
  it('finds nothing on a line that lets all bytes through', () => {
    const verdict = judgeLine(through((byte) => [byte]));
    expect(verdict).to.deep.equal({ rounds: 3, bytes: 3 * LINE_PATTERN.length, lost: [], intact: 1 });
    expect(explain('x', verdict).level).to.equal('ok');
  });

  it('names XON and XOFF on a line that swallows them', () => {
    const swallow = (byte: number): readonly number[] => (byte === 0x11 || byte === 0x13 ? [] : [byte]);
    expect(valuesLost(swallow)).to.deep.equal([0x11, 0x13]);
    const { level, text, hint } = explain('x', judgeLine(through(swallow)));
    expect([level, text]).to.deep.equal(['error', '2 byte values do not come through: 0x11, 0x13']);
    expect(hint).to.include('xonxoff');
  });

  it('names a value that is doubled, and one that becomes another', () => {
    const bend = (byte: number): readonly number[] =>
      byte === 0xff ? [0xff, 0xff] : byte === 0x0d ? [0x0a] : [byte];
    expect(judgeLine(through(bend)).lost).to.deep.equal([
      { value: 0x0d, became: [0x0a] },
      { value: 0xff, became: [0xff, 0xff] },
    ]);
  });

  it('sees a line of seven bits', () => {
    const verdict = judgeLine(through((byte) => [byte & 0x7f]));
    expect(verdict.lost).to.have.lengthOf(128);
    expect(explain('x', verdict).hint).to.include('seven bits');
  });

  it('does not take noise for a value that is lost', () => {
    const seed = seedOfThisRun();
    console.log(`      SEED=${seed}`);
    const seeded = new Seeded(seed);
    const noisy = through((byte) => (seeded.below(500) === 0 ? [byte ^ (1 << seeded.below(8))] : [byte]), 9);
    // So that enough values are hit to be worth a word, whatever the seed: a mark of each is nine bytes long.
    for (const value of ['00', '01', '02', '03', '04'])
      noisy.write(`<${value}:U:${value}>`, 9 * Number(value), 'latin1');
    const verdict = judgeLine(noisy);
    expect(verdict.lost).to.deep.equal([]);
    expect(verdict.intact).to.be.lessThan(1);
    expect(explain('x', verdict).level).to.equal('warning');
  });

  it('tells silence from bytes that mean nothing', () => {
    expect(explain('x', judgeLine(Buffer.alloc(0))).text).to.include('nothing was heard');
    expect(explain('x', judgeLine(Buffer.alloc(5000, 0x5a))).text).to.include('not the pattern');
  });

  it('takes time that grows with what was heard, whatever it is', () => {
    expect(judgeLine(Buffer.from('<00:'.repeat(200_000))).rounds).to.equal(0);
  });
});
