import { expect } from 'chai';
import { LineCutter } from '../../../protocol/framing/line-cutter.js';
import { Seeded, seedOfThisRun } from '../../support/seeded.js';
import { hexOf } from '../../support/vectors.js';

const frames = [Buffer.from('one'), Buffer.from('two, longer'), Buffer.from('3')];
const stream = Buffer.concat(frames.flatMap((frame) => [frame, Buffer.of(0)]));

describe('line cutter', () => {
  it('finds the same frames however the stream is cut into chunks', () => {
    for (let size = 1; size <= stream.length; size++) {
      const cutter = new LineCutter();
      const found: string[] = [];
      for (let at = 0; at < stream.length; at += size) {
        found.push(...cutter.push(stream.subarray(at, at + size)).map(hexOf));
      }
      expect(found, `chunks of ${size}`).to.deep.equal(frames.map(hexOf));
    }
  });

  it('passes over doubled delimiters', () => {
    expect(new LineCutter().push(Buffer.from([0, 0, 5, 0, 0, 6, 0])).map(hexOf)).to.deep.equal(['05', '06']);
  });

  it('is not disturbed when the chunk it was given is used again', () => {
    const cutter = new LineCutter();
    const chunk = Buffer.from('begin');
    cutter.push(chunk);
    chunk.fill(0x55);
    expect(cutter.push(Buffer.from(' and end\0')).map(String)).to.deep.equal(['begin and end']);
  });

  it('drops what is longer than a frame, in bounded memory, and finds the next frame', () => {
    const cutter = new LineCutter(10);
    expect(cutter.push(Buffer.concat([Buffer.alloc(10, 1), Buffer.of(0)]))).to.have.length(1);
    expect(cutter.push(Buffer.alloc(11, 1))).to.deep.equal([]);
    for (let i = 0; i < 1000; i++) expect(cutter.push(Buffer.alloc(1000, 2))).to.deep.equal([]);
    expect(cutter.push(Buffer.from([2, 0, 7, 8, 0])).map(hexOf)).to.deep.equal(['0708']);
    expect(cutter.dropped).to.equal(11 + 1_000_000 + 1);
  });

  it('finds every short frame in random chunks with noise between', () => {
    const seed = seedOfThisRun();
    const random = new Seeded(seed);
    const cutter = new LineCutter(100);
    const wanted: string[] = [];
    const parts: Buffer[] = [];
    for (let i = 0; i < 500; i++) {
      const body = random.bytes(1 + random.below(200)).map((byte) => byte || 1);
      if (body.length <= 100) wanted.push(hexOf(body));
      parts.push(Buffer.from(body), Buffer.of(0));
    }
    const whole = Buffer.concat(parts);
    const found: string[] = [];
    for (let at = 0; at < whole.length;) {
      const size = 1 + random.below(300);
      found.push(...cutter.push(whole.subarray(at, at + size)).map(hexOf));
      at += size;
    }
    expect(found, `SEED=${seed}`).to.deep.equal(wanted);
  });
});
