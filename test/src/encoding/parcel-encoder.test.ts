import { expect } from 'chai';
import { brotliCompressSync, brotliDecompressSync, constants } from 'node:zlib';
import { isDelta, openDelta } from '../../../protocol/parcel/delta.js';
import { serializeParcel, type Compressor, type Decompressor } from '../../../protocol/parcel/parcel.js';
import { blockIndex } from '../../../protocol/units.js';
import { encodeWithReferences } from '../../../src/encoding/parcel-encoder.js';
import { Seeded, seedOfThisRun } from '../../support/seeded.js';

const compressor: Compressor = {
  compress: (bytes) => brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } }),
};
const decompressor: Decompressor = {
  decompress: (bytes, limit) => brotliDecompressSync(bytes, { maxOutputLength: limit }),
};

describe('the encoding of a parcel', () => {
  const seed = seedOfThisRun();

  it(`tells scattered bytes by their difference from the blocks before (SEED=${seed})`, async () => {
    const random = new Seeded(seed);
    const before = random.bytes(200 * 4096);
    const content = Buffer.from(before);
    for (let block = 0; block < 200; block++) content[block * 4096 + random.below(4096)] = random.below(256);
    const runs = Array.from({ length: 200 }, (_, i) => ({ start: blockIndex(i * 7), count: 1, zero: false }));
    const parcel = { blockSize: 4096, runs, content };
    const encoded = await encodeWithReferences(
      parcel,
      {
        own: { content: before, present: new Uint8Array(200).fill(1) },
        base: null,
        finder: null,
        earlier: [],
      },
      { compressor, effort: 'thorough' },
    );
    expect(encoded.byteLength).to.be.lessThan(200 * 12);
    expect(isDelta(encoded)).to.equal(true);
    const opened = openDelta(encoded, decompressor);
    expect(opened.needs.base.map(({ start, count }) => ({ start, count }))).to.deep.equal(
      runs.map(({ start, count }) => ({ start, count })),
    );
    const made = opened.apply({ base: before, parcels: [] });
    expect(Buffer.compare(made, serializeParcel(parcel))).to.equal(0);
  });
});
