import { expect } from 'chai';
import fc from 'fast-check';
import { cobsDecode, cobsEncode } from '../../../protocol/framing/cobs.js';
import { maxCobsLength } from '../../../protocol/framing/limits.js';
import { seedOfThisRun } from '../../support/seeded.js';
import { bytesOf, hexOf, vectors } from '../../support/vectors.js';

describe('COBS', () => {
  const seed = seedOfThisRun();

  for (const { name, body, encoded } of vectors('cobs') as readonly {
    name: string;
    body: string;
    encoded: string;
  }[]) {
    it(`encodes and decodes as the independent script: ${name}`, () => {
      expect(hexOf(cobsEncode(bytesOf(body)))).to.equal(encoded);
      expect(hexOf(cobsDecode(bytesOf(encoded)) as Uint8Array)).to.equal(body);
    });
  }

  it(`has no zero, stays within its bound and comes back, whatever is encoded (SEED=${seed})`, () => {
    // Half the bytes are zero or full runs are long, so that every branch is met.
    const body = fc.oneof(
      fc.uint8Array({ maxLength: 1200 }),
      fc.array(fc.constantFrom(0, 1), { maxLength: 1200 }).map((bits) => Uint8Array.from(bits)),
      fc
        .array(fc.nat({ max: 600 }), { maxLength: 4 })
        .map((runs) => Buffer.concat(runs.map((run) => Buffer.concat([Buffer.alloc(run, 7), Buffer.of(0)])))),
    );
    fc.assert(
      fc.property(body, (bytes) => {
        const encoded = cobsEncode(bytes);
        expect(encoded.includes(0)).to.equal(false);
        expect(encoded.length).to.be.at.most(maxCobsLength(bytes.length));
        expect(hexOf(cobsDecode(encoded) as Uint8Array)).to.equal(hexOf(bytes));
      }),
      { seed, numRuns: 500 },
    );
  });

  it('refuses what is not the encoded form of anything', () => {
    for (const hex of ['', '00', '0311', '02', '020011', '0100', 'ff1122']) {
      expect(cobsDecode(bytesOf(hex)), hex).to.equal(undefined);
    }
  });
});
