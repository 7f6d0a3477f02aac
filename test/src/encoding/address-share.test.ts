import { expect } from 'chai';
import { brotliCompressSync, constants } from 'node:zlib';
import { serializeParcel, type ParcelContent, type ParcelRun } from '../../../protocol/parcel/parcel.js';
import { blockIndex } from '../../../protocol/units.js';
import type { MeasuredParcel } from '../../../src/encoding/address-share.js';
import { encodeWithReferences } from '../../../src/encoding/parcel-encoder.js';
import { NO_REFERENCES } from '../../../src/encoding/references.js';
import { encode } from '../../../src/replication/parcel-encoding.js';
import { Seeded } from '../../support/seeded.js';

const BLOCK = 512;
const compressor = {
  compress: (bytes: Uint8Array): Uint8Array =>
    brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }),
};
const runOf = (start: number, count: number, zero = false): ParcelRun => ({
  start: blockIndex(start),
  count,
  zero,
});
const parcelOf = (runs: readonly ParcelRun[], content: Uint8Array): ParcelContent => ({
  blockSize: BLOCK,
  runs,
  content,
});
/** How much shorter brotli makes it in one stream when the part is not there. */
const costOf = (whole: Uint8Array, without: Uint8Array): number =>
  compressor.compress(whole).byteLength - compressor.compress(without).byteLength;

describe('what of an encoded parcel are addresses', () => {
  const random = new Seeded(5);

  it('is all of it where it holds no content', async () => {
    const zeros = parcelOf([runOf(3, 70, true), runOf(900, 4, true)], new Uint8Array());
    for (const made of [
      encode(zeros, 4),
      encode(zeros, 11),
      await encodeWithReferences(zeros, NO_REFERENCES, { compressor, effort: 'thorough' }),
    ]) {
      expect(made.addresses).to.equal(made.encoded.byteLength);
    }
  });

  it('is just the table of runs where nothing can be compressed', () => {
    const parcel = parcelOf([runOf(3, 8)], random.bytes(8 * BLOCK));
    const head = serializeParcel(parcel).byteLength - 8 * BLOCK;
    for (const quality of [4, 9, 11] as const) {
      const { encoded, addresses } = encode(parcel, quality);
      // As it is, or a brotli stream of the same length but for a few bytes.
      expect(encoded.byteLength - 8 * BLOCK).to.be.within(head + 1, head + 12);
      expect(addresses).to.be.within(head + 1, head + 12);
    }
  });

  it('is about what the table of runs costs in the stream, at any quality', () => {
    const places = Array.from({ length: 300 }, (_, i) => i * 9 + random.below(9));
    const runs = places.map((start) => runOf(start, 1));
    const words = random.bytes(64).toString('hex');
    const content = Buffer.alloc(300 * BLOCK);
    for (let at = 0; at < content.byteLength; at += 40) content.write(words.slice(random.below(90)), at);
    const parcel = parcelOf(runs, content);
    const serialized = serializeParcel(parcel);
    const cost = costOf(serialized, content);
    for (const quality of [4, 9, 11] as const) {
      const { encoded, addresses } = encode(parcel, quality);
      expect(addresses).to.be.within(cost * 0.9, cost * 1.1, `quality ${quality}`);
      expect(addresses).to.be.lessThan(encoded.byteLength);
    }
  }).timeout(120_000);

  it('is most of a delta that moves things about, and little of one that brings new bytes', async () => {
    const own = random.bytes(200 * BLOCK);
    const delta = async (content: Uint8Array): Promise<MeasuredParcel> =>
      encodeWithReferences(
        parcelOf([runOf(10, 200)], content),
        { ...NO_REFERENCES, own: { content: own, present: new Uint8Array(200).fill(1) } },
        { compressor, effort: 'thorough' },
      );
    const pieces = Array.from({ length: 1600 }, (_, i) => own.subarray(i * 64, (i + 1) * 64));
    const moved = await delta(Buffer.concat(random.shuffle(pieces)));
    expect(moved.encoded.byteLength).to.be.lessThan(1600 * 6);
    expect(moved.addresses).to.be.greaterThan(moved.encoded.byteLength * 0.9);
    const fresh = Buffer.concat([own.subarray(0, 100 * BLOCK), random.bytes(100 * BLOCK)]);
    const brought = await delta(fresh);
    expect(brought.encoded.byteLength).to.be.within(100 * BLOCK, 100 * BLOCK + 100);
    expect(brought.addresses).to.be.within(1, 100);
  });
});
