import { expect } from 'chai';
import fc from 'fast-check';
import { bytesOf, tellAddressesApart, type LineBytes } from '../../protocol/set-account.js';
import { seedOfThisRun } from '../support/seeded.js';

const natural = fc.nat(2 ** 40);
const kinds = fc.record({ data: natural, control: natural, repeated: natural, handshake: natural });
const lines: fc.Arbitrary<LineBytes> = fc.record({
  toBackup: kinds,
  toPrimary: kinds.map((each) => ({ ...each, data: 0 })),
});

describe('the account of a set with its addresses told apart', () => {
  const seed = seedOfThisRun();

  it(`adds up to what crossed, whatever their share (SEED=${seed})`, () => {
    const share = fc.record({ addresses: natural, encoded: natural });
    fc.assert(
      fc.property(lines, fc.option(share), (line, told) => {
        const apart = tellAddressesApart(line, told);
        expect(bytesOf(apart.toBackup)).to.equal(bytesOf(line.toBackup));
        expect(bytesOf(apart.toPrimary)).to.equal(bytesOf(line.toPrimary));
        for (const { data, addresses = 0 } of [apart.toBackup, apart.toPrimary]) {
          expect(Math.min(data, addresses)).to.be.at.least(0);
        }
      }),
      { seed },
    );
  });

  it('is exact when all parcels crossed once, and in proportion when a part of them is counted', () => {
    const line = (data: number): LineBytes => ({
      toBackup: { data, control: 5, repeated: 3, handshake: 1 },
      toPrimary: { data: 0, control: 5, repeated: 0, handshake: 1 },
    });
    const share = { addresses: 301, encoded: 1000 };
    expect(tellAddressesApart(line(1000), share).toBackup).to.include({ data: 699, addresses: 301 });
    expect(tellAddressesApart(line(500), share).toBackup).to.include({ data: 349, addresses: 151 });
    expect(tellAddressesApart(line(0), { addresses: 0, encoded: 0 }).toBackup).to.include({ addresses: 0 });
    expect(tellAddressesApart(line(9), { addresses: 0, encoded: 0 })).to.deep.equal(line(9));
  });
});
