import { expect } from 'chai';
import * as fc from 'fast-check';
import { createHash } from 'node:crypto';
import { blockDigest, SetDigest } from '../../../protocol/parcel/set-digest.js';
import { seedOfThisRun } from '../../support/seeded.js';

/** A set as pieces: so many blocks of zeros or one with content, after a gap. */
const set = fc.array(fc.record({ gap: fc.nat(3), zeros: fc.nat(5), tag: fc.nat(255) }), { maxLength: 20 });

describe('the digest of a set', () => {
  const seed = seedOfThisRun();

  it(`is the same however zero runs are cut (SEED=${seed})`, () => {
    fc.assert(
      fc.property(set, fc.infiniteStream(fc.boolean()), (pieces, cuts) => {
        const whole = new SetDigest();
        const cut = new SetDigest();
        let at = 0;
        for (const { gap, zeros, tag } of pieces) {
          at += gap;
          if (zeros === 0) {
            const digest = blockDigest(Buffer.of(tag));
            whole.addBlock(at, digest);
            cut.addBlock(at, digest);
            at++;
            continue;
          }
          whole.addZeroRun(at, zeros);
          let start = at;
          for (let i = at + 1; i <= at + zeros; i++) {
            if (i < at + zeros && cuts.next().value !== true) continue;
            cut.addZeroRun(start, i - start);
            start = i;
          }
          at += zeros;
        }
        expect(Buffer.compare(whole.finish(), cut.finish())).to.equal(0);
      }),
      { seed, numRuns: 500 },
    );
  });

  it('is SHA-256 over its entries as written down', () => {
    const digest = new SetDigest();
    const content = blockDigest(Buffer.from('content'));
    digest.addZeroRun(1, 1);
    digest.addZeroRun(2, 2);
    digest.addBlock(4, content);
    digest.addZeroRun(2 ** 32, 7);
    const entries = Buffer.concat([
      Buffer.from('00' + '0100000000000000' + '0300000000000000', 'hex'),
      Buffer.from('01' + '0400000000000000', 'hex'),
      content,
      Buffer.from('00' + '0000000001000000' + '0700000000000000', 'hex'),
    ]);
    expect(Buffer.from(digest.finish())).to.deep.equal(createHash('sha256').update(entries).digest());
  });

  it('tells a gap, an order, a zero block and a place apart', () => {
    const digestOf = (...runs: readonly [number, number][]): string => {
      const digest = new SetDigest();
      for (const [start, count] of runs) digest.addZeroRun(start, count);
      return Buffer.from(digest.finish()).toString('hex');
    };
    const zero = new SetDigest();
    zero.addBlock(0, blockDigest(new Uint8Array(512)));
    const all = [
      digestOf(),
      digestOf([0, 1]),
      digestOf([1, 1]),
      digestOf([0, 2]),
      digestOf([0, 1], [2, 1]),
      Buffer.from(zero.finish()).toString('hex'),
    ];
    expect(new Set(all).size).to.equal(all.length);
    expect(() => digestOf([5, 2], [6, 1])).to.throw(RangeError);
  });
});
