import { expect } from 'chai';
import { isDelta } from '../../../protocol/parcel/delta.js';
import type { ParcelContent } from '../../../protocol/parcel/parcel.js';
import { blockIndex, parcelId } from '../../../protocol/units.js';
import type { References } from '../../../src/encoding/references.js';
import { encodeAgainst } from '../../../src/replication/parcel-encoding.js';
import { Seeded } from '../../support/seeded.js';

const BLOCK = 4096;
const BLOCKS = 8;

describe('a parcel and the line it is encoded for', () => {
  const random = new Seeded(11);
  const content = new Uint8Array(random.bytes(BLOCKS * BLOCK));
  const parcelAt = (start: number): ParcelContent => ({
    blockSize: BLOCK,
    runs: [{ start: blockIndex(start), count: BLOCKS, zero: false }],
    content,
  });
  const earlier = [{ id: parcelId('1'.repeat(32)), parcel: parcelAt(100) }];
  const nothing: References = { own: null, base: null, finder: null, earlier: [] };

  it('refers to an earlier parcel on a slow line', async () => {
    const { encoded } = await encodeAgainst(parcelAt(0), 11, { ...nothing, earlier });
    expect(isDelta(encoded)).to.equal(true);
    expect(encoded.byteLength).to.be.lessThan(200);
  });

  it('does not look for anything beyond its own blocks on a fast one', async () => {
    const { encoded, trouble } = await encodeAgainst(parcelAt(0), 4, { ...nothing, earlier });
    expect([isDelta(encoded), trouble]).to.deep.equal([false, undefined]);
    const own = { content: Uint8Array.from(content), present: new Uint8Array(BLOCKS).fill(1) };
    own.content[5000]! ^= 1;
    const base = { read: () => Promise.reject(new Error('nobody is to ask for blocks of the base')) };
    const near = await encodeAgainst(parcelAt(0), 4, { ...nothing, own, base, earlier });
    expect([isDelta(near.encoded), near.trouble]).to.deep.equal([true, undefined]);
    expect(near.encoded.byteLength).to.be.lessThan(200);
  });
});
