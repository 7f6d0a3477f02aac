import { expect } from 'chai';
import fc from 'fast-check';
import { LineSplitter } from '../../../src/control/line-splitter.js';

describe('cutting a stream into lines', () => {
  it('gives the same lines wherever the stream is cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: 'grapheme', maxLength: 12 }).filter((text) => !text.includes('\n'))),
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
        (lines, sizes) => {
          const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''));
          const splitter = new LineSplitter(1000);
          const seen: string[] = [];
          for (let at = 0, turn = 0; at < bytes.length; turn++) {
            const size = sizes[turn % sizes.length]!;
            seen.push(...splitter.push(bytes.subarray(at, at + size)));
            at += size;
          }
          expect(seen).to.deep.equal(lines);
        },
      ),
      process.env['SEED'] === undefined ? {} : { seed: Number(process.env['SEED']) },
    );
  });

  it('refuses a line that is one byte too long, also one without an end', () => {
    const splitter = new LineSplitter(4);
    expect(splitter.push(Buffer.from('1234\n123'))).to.deep.equal(['1234']);
    expect(() => splitter.push(Buffer.from('45'))).to.throw(RangeError);
  });
});
