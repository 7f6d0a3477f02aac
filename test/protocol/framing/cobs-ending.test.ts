import { expect } from 'chai';
import fc from 'fast-check';
import { cobsEncode } from '../../../protocol/framing/cobs.js';
import { cobsEnding } from '../../../protocol/framing/cobs-ending.js';
import { Seeded, seedOfThisRun } from '../../support/seeded.js';

describe('the end of a COBS form that has lost bytes in its midst', () => {
  const seed = seedOfThisRun();

  it(`is what it was, from a few hundred bytes behind the loss on (SEED=${seed})`, () => {
    const random = new Seeded(seed);
    let behind = 0;
    let known = 0;
    let wrong = 0;
    for (let round = 0; round < 300; round++) {
      const body = random.bytes(3000 + random.below(4000));
      const encoded = cobsEncode(body);
      const at = random.below(encoded.length - 1500);
      const lost = 1 + random.below(100);
      const came = Buffer.concat([encoded.subarray(0, at), encoded.subarray(at + lost)]);
      const { bytes } = cobsEnding(came);
      // Counted from the end, whatever stands in front.
      const certain = Math.min(bytes.length, body.length - at - lost);
      const right = matchingEnd(body, bytes);
      behind += body.length - at - lost;
      known += Math.min(right, certain);
      if (right < 1000) wrong++;
    }
    expect(known / behind).to.be.above(0.85);
    expect(wrong, 'of 300, of which nothing is known').to.be.below(20);
  });

  it('that nothing speaks for is empty', () => {
    expect(cobsEnding(new Uint8Array()).bytes).to.have.length(0);
    expect(cobsEnding(Uint8Array.of(9)).bytes).to.have.length(0);
    expect(cobsEnding(Buffer.alloc(300, 200)).bytes).to.have.length(0);
  });

  it(`can be of anything: no more comes out than went in (SEED=${seed})`, () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), (encoded) => {
        const { start, bytes } = cobsEnding(encoded);
        expect(start).to.be.within(0, encoded.length);
        expect(bytes.length).to.be.at.most(encoded.length - start);
      }),
      { seed, numRuns: 300 },
    );
  });
});

function matchingEnd(a: Uint8Array, b: Uint8Array): number {
  let count = 0;
  while (count < Math.min(a.length, b.length) && a[a.length - 1 - count] === b[b.length - 1 - count]) count++;
  return count;
}
