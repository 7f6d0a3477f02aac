import { expect } from 'chai';
import * as fc from 'fast-check';
import { brotliCompressSync, brotliDecompressSync, constants } from 'node:zlib';
import { ProtocolError } from '../../../protocol/errors.js';
import {
  decodeParcel,
  decodeParcelAsync,
  encodeParcel,
  MAX_PARCEL_CONTENT,
  MAX_PARCEL_DECODED,
  MAX_PARCEL_RUNS,
  parcelDigest,
  parseParcel,
  serializeParcel,
  type Compressor,
  type Decompressor,
  type ParcelContent,
} from '../../../protocol/parcel/parcel.js';
import { VarintReader, VarintWriter } from '../../../protocol/parcel/varint.js';
import { blockIndex } from '../../../protocol/units.js';
import { brotliDecompressor } from '../../../src/store/brotli.js';
import { FUZZ_CASES, fuzzTimeout } from '../../support/fuzz-cases.js';
import { Seeded, seedOfThisRun } from '../../support/seeded.js';

const compressor: Compressor = {
  compress: (bytes) => brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }),
};
const decompressor: Decompressor = {
  decompress: (bytes, limit) => brotliDecompressSync(bytes, { maxOutputLength: limit }),
};

const parcels = fc
  .tuple(
    fc.constantFrom(512, 1024),
    fc.array(fc.tuple(fc.nat(1000), fc.integer({ min: 1, max: 4 }), fc.boolean()), { maxLength: 8 }),
    fc.nat(),
  )
  .map(([blockSize, parts, seed]): ParcelContent => {
    let at = 0;
    let blocks = 0;
    const runs = parts.map(([gap, count, zero]) => {
      const run = { start: blockIndex(at + gap), count, zero };
      at += gap + count;
      if (!zero) blocks += count;
      return run;
    });
    return { blockSize, runs, content: new Seeded(seed).bytes(blocks * blockSize) };
  });

const isBadParcel = (work: () => unknown): void => {
  expect(work).to.throw(ProtocolError).with.property('code', 'bad-parcel');
};

describe('a parcel', () => {
  const seed = seedOfThisRun();

  it(`is the same after encoding and decoding, by either way (SEED=${seed})`, async () => {
    await fc.assert(
      fc.asyncProperty(parcels, async (parcel) => {
        const serialized = serializeParcel(parcel);
        const encoded = encodeParcel(serialized, compressor);
        expect(encoded.byteLength).to.be.at.most(serialized.byteLength + 1);
        const decoded = decodeParcel(encoded, decompressor);
        expect(Buffer.compare(parcelDigest(decoded), parcelDigest(serialized))).to.equal(0);
        expect(Buffer.compare(await decodeParcelAsync(encoded, brotliDecompressor), decoded)).to.equal(0);
        const { blockSize, runs, content } = parseParcel(decoded);
        expect({ blockSize, runs }).to.deep.equal({ blockSize: parcel.blockSize, runs: parcel.runs });
        expect(Buffer.compare(content, parcel.content)).to.equal(0);
      }),
      { seed },
    );
  });

  it(`fuzz: is refused, or still well formed, when it is cut or changed (SEED=${seed})`, function () {
    this.timeout(fuzzTimeout());
    fc.assert(
      fc.property(parcels, fc.nat(), fc.nat(255), fc.boolean(), (parcel, place, value, cut) => {
        const encoded = Buffer.from(encodeParcel(serializeParcel(parcel), compressor));
        const at = place % encoded.byteLength;
        if (!cut) encoded[at] = value;
        try {
          const { blockSize, runs, content } = parseParcel(
            decodeParcel(cut ? encoded.subarray(0, at) : encoded, decompressor),
          );
          const blocks = runs.reduce((sum, run) => sum + (run.zero ? 0 : run.count), 0);
          expect(content.byteLength).to.equal(blocks * blockSize);
          let end = 0;
          for (const run of runs) {
            expect(run.start).to.be.at.least(end);
            end = run.start + run.count;
          }
        } catch (cause) {
          expect(cause).to.be.instanceOf(ProtocolError).with.property('code', 'bad-parcel');
        }
      }),
      // Each makes and compresses a parcel first.
      { seed, numRuns: Math.ceil(FUZZ_CASES / 10) },
    );
  });

  it('does not grow past its bound when a small one is a bomb', async () => {
    const bomb = Buffer.concat([Buffer.of(1), compressor.compress(Buffer.alloc(MAX_PARCEL_DECODED + 1))]);
    expect(bomb.byteLength).to.be.lessThan(10_000);
    isBadParcel(() => decodeParcel(bomb, decompressor));
    const error: unknown = await decodeParcelAsync(bomb, brotliDecompressor).catch((cause: unknown) => cause);
    expect(error).to.be.instanceOf(ProtocolError).with.property('code', 'bad-parcel');
    isBadParcel(() => decodeParcel(Buffer.alloc(MAX_PARCEL_DECODED + 2), decompressor));
  });

  it('is refused with fields that no encoder writes', () => {
    const head = (...values: number[]): Uint8Array => {
      const writer = new VarintWriter();
      for (const value of values) writer.write(value);
      return writer.bytes();
    };
    isBadParcel(() => decodeParcel(new Uint8Array(), decompressor));
    isBadParcel(() => decodeParcel(Buffer.of(2, 0), decompressor));
    isBadParcel(() => parseParcel(new Uint8Array()));
    isBadParcel(() => parseParcel(head(1000, 0)));
    isBadParcel(() => parseParcel(head(512, 1, 0, 0)));
    isBadParcel(() => parseParcel(head(512, MAX_PARCEL_RUNS + 1)));
    isBadParcel(() => parseParcel(head(512, 1, 2 ** 32, 3)));
    isBadParcel(() => parseParcel(head(512, 1, 0, 2 ** 33 + 3)));
    isBadParcel(() => parseParcel(head(512, 1, 2 ** 53 - 1, 2 ** 53 - 1)));
    isBadParcel(() => parseParcel(Buffer.concat([head(512, 0), Buffer.of(0)])));
    const tooLong = Buffer.alloc(MAX_PARCEL_CONTENT + 512);
    isBadParcel(() => parseParcel(Buffer.concat([head(512, 1, 0, (tooLong.byteLength / 512) * 2), tooLong])));
    expect(parseParcel(head(512, 1, 0, 2 ** 33 + 1)).runs).to.deep.equal([
      { start: 0, count: 2 ** 32, zero: true },
    ]);
  });
});

describe('a varint', () => {
  it('reads back every safe integer, and nothing larger', () => {
    fc.assert(
      fc.property(fc.array(fc.maxSafeNat()), (values) => {
        const writer = new VarintWriter();
        for (const value of values) writer.write(value);
        const reader = new VarintReader(writer.bytes(), () => new Error('bad'));
        expect(values.map(() => reader.read())).to.deep.equal(values);
        expect(() => reader.read()).to.throw('bad');
      }),
      { seed: seedOfThisRun() },
    );
    for (const bytes of [
      [0x80],
      [...new Array<number>(7).fill(0xff), 0x7f],
      new Array<number>(20).fill(0xff),
    ]) {
      expect(() => new VarintReader(Uint8Array.from(bytes), () => new Error('bad')).read()).to.throw('bad');
    }
  });
});
