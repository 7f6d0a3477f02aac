import { expect } from 'chai';
import { MAX_ENCODED_FRAME } from '../../../protocol/framing/limits.js';
import { Tail } from '../../../src/transport/tail.js';
import { Seeded, seedOfThisRun } from '../../support/seeded.js';

describe('the tail of a line', () => {
  const seed = seedOfThisRun();

  it(`is what came behind the last delimiter, however it came (SEED=${seed})`, () => {
    const random = new Seeded(seed);
    for (let round = 0; round < 200; round++) {
      const tail = new Tail();
      let all = Buffer.alloc(0);
      for (let left = random.below(8); left > 0; left--) {
        const chunk = random.bytes(random.below(400)).map((byte) => (random.chance(0.99) ? byte || 1 : 0));
        tail.push(chunk);
        all = Buffer.concat([all, chunk]);
        chunk.fill(9);
      }
      expect(Buffer.compare(tail.bytes, all.subarray(all.lastIndexOf(0) + 1))).to.equal(0);
    }
  });

  it('is nothing when it is longer than any frame, until the next delimiter', () => {
    const tail = new Tail();
    tail.push(new Uint8Array(MAX_ENCODED_FRAME).fill(1));
    expect(tail.bytes).to.have.length(MAX_ENCODED_FRAME);
    for (let i = 0; i < 3; i++) {
      tail.push(Uint8Array.of(1));
      expect(tail.bytes).to.have.length(0);
    }
    tail.push(Uint8Array.of(1, 0, 5, 6));
    expect([...tail.bytes]).to.deep.equal([5, 6]);
  });
});
