import { expect } from 'chai';
import { brotliCompressSync, brotliDecompressSync, constants } from 'node:zlib';
import { ProtocolError } from '../../../protocol/errors.js';
import {
  MAX_DELTA_COPIES,
  MAX_DELTA_PARCELS,
  MAX_DELTA_REFERENCES,
  MAX_DELTA_SPANS,
} from '../../../protocol/parcel/delta-layout.js';
import {
  isDelta,
  MAX_DELTA_FORM,
  openDelta,
  openDeltaAsync,
  packDelta,
  readDelta,
  type OpenedDelta,
} from '../../../protocol/parcel/delta.js';
import {
  MAX_PARCEL_CONTENT,
  MAX_PARCEL_RUNS,
  type Compressor,
  type Decompressor,
} from '../../../protocol/parcel/parcel.js';
import { VarintWriter } from '../../../protocol/parcel/varint.js';
import { brotliDecompressor } from '../../../src/store/brotli.js';
import { FUZZ_CASES, fuzzTimeout } from '../../support/fuzz-cases.js';
import { Seeded, seedOfThisRun } from '../../support/seeded.js';
import { bytesOf, hexOf, vectors } from '../../support/vectors.js';

interface DeltaVector {
  readonly name: string;
  readonly form: string;
  readonly needsBase: readonly number[];
  readonly needsParcels: readonly { readonly id: string; readonly blocks: readonly number[] }[];
  readonly base: readonly string[];
  readonly parcels: readonly string[];
  readonly decoded: string;
}
const cases = vectors('delta') as readonly DeltaVector[];

const compressor: Compressor = {
  compress: (bytes) => brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }),
};
const decompressor: Decompressor = {
  decompress: (bytes, limit) => brotliDecompressSync(bytes, { maxOutputLength: limit }),
};

const blocksOf = (spans: readonly { readonly start: number; readonly count: number }[]): number[] =>
  spans.flatMap(({ start, count }) => Array.from({ length: count }, (_, i) => start + i));

const isBadParcel = (work: () => unknown): void => {
  expect(work).to.throw(ProtocolError).with.property('code', 'bad-parcel');
};

describe('a delta', () => {
  const seed = seedOfThisRun();

  for (const vector of cases) {
    it(`is read as it was made elsewhere: ${vector.name}`, async () => {
      const encoded = packDelta(bytesOf(vector.form), compressor);
      expect(isDelta(encoded)).to.equal(true);
      for (const opened of [
        openDelta(encoded, decompressor),
        await openDeltaAsync(encoded, brotliDecompressor),
      ]) {
        expect(blocksOf(opened.needs.base)).to.deep.equal(vector.needsBase);
        expect(opened.needs.parcels.map(({ id, spans }) => ({ id, blocks: blocksOf(spans) }))).to.deep.equal(
          vector.needsParcels,
        );
        const made = opened.apply({
          base: bytesOf(vector.base.join('')),
          parcels: vector.parcels.map(bytesOf),
        });
        expect(hexOf(made)).to.equal(vector.decoded);
      }
    });
  }

  it('is not applied to references of another length or number', () => {
    const vector = cases.find(({ name }) => name === 'many copies from everywhere, flag 1')!;
    const opened = readDelta(bytesOf(vector.form));
    const base = bytesOf(vector.base.join(''));
    const parcels = vector.parcels.map(bytesOf);
    expect(() => opened.apply({ base: base.subarray(1), parcels })).to.throw(RangeError);
    expect(() => opened.apply({ base, parcels: [] })).to.throw(RangeError);
    expect(() => opened.apply({ base, parcels: [parcels[0]!.subarray(1)] })).to.throw(RangeError);
  });

  it(`fuzz: ${FUZZ_CASES} changed, cut and joined ones are refused or make what their blocks hold (SEED=${seed})`, function () {
    this.timeout(fuzzTimeout());
    const random = new Seeded(seed);
    let read = 0;
    for (let i = 0; i < FUZZ_CASES; i++) {
      const form = mutated(random, bytesOf(random.pick(cases).form));
      // Most go in behind brotli, where every change reaches the reader; some are changed in front of it.
      const packed = i % 16 === 0 ? mutated(random, Buffer.from(packDelta(form, compressor))) : null;
      try {
        const opened = packed === null ? readDelta(form) : openDelta(packed, decompressor);
        const parts = referencesOf(random, opened);
        if (parts === null) continue;
        opened.apply(parts);
        read++;
      } catch (cause) {
        expect(cause, `case ${i}`).to.be.instanceOf(ProtocolError).with.property('code', 'bad-parcel');
      }
    }
    expect(read).to.be.greaterThan(FUZZ_CASES / 50);
  });

  it('is refused past each of its bounds', () => {
    const one = (over: Partial<Parts>): Uint8Array => form({ ...SMALL, ...over });
    expect(hexOf(readDelta(one({})).apply({ base: Buffer.alloc(512), parcels: [] }))).to.match(/^8004/);

    isBadParcel(() => readDelta(one({ flags: 4 })));
    isBadParcel(() => readDelta(one({ blockSize: 1000 })));
    isBadParcel(() => readDelta(one({ runCount: 2 })));
    isBadParcel(() => readDelta(one({ runs: [0, 4] })));
    isBadParcel(() => readDelta(one({ runs: [0, 2, 0] })));
    isBadParcel(() => readDelta(one({ runs: [2 ** 32, 2] })));
    isBadParcel(() => readDelta(one({ runs: [0, 0] })));
    isBadParcel(() => readDelta(one({ commands: Buffer.of(32) })));
    isBadParcel(() => readDelta(one({ commands: Buffer.of(7 * 32) })));
    isBadParcel(() => readDelta(one({ commands: Buffer.of(5 * 32), blocks: [0], offsets: [512] })));
    isBadParcel(() => readDelta(one({ commands: Buffer.of(4 * 32), blocks: [1], offsets: [0] })));
    isBadParcel(() => readDelta(one({ commands: Buffer.of(4 * 32), blocks: [2 ** 52], offsets: [0] })));
    isBadParcel(() => readDelta(one({ lengths: [512] })));
    isBadParcel(() => readDelta(one({ lengths: [510] })));
    isBadParcel(() => readDelta(one({ lengths: [2 ** 53 - 1] })));
    isBadParcel(() => readDelta(one({ lengths: [511, 0] })));
    isBadParcel(() => readDelta(one({ literals: [0] })));
    isBadParcel(() => readDelta(one({ replaced: Buffer.of(0) })));
    isBadParcel(() => readDelta(one({ fresh: Buffer.of(0) })));
    isBadParcel(() => readDelta(one({}).subarray(0, -1)));
    isBadParcel(() => readDelta(new Uint8Array()));

    const manyRuns = (count: number): Uint8Array =>
      one({
        runCount: count,
        runs: new Array<number[]>(count).fill([0, 3]).flat(),
        commands: Buffer.alloc(0),
        lengths: [],
      });
    expect(readDelta(manyRuns(MAX_PARCEL_RUNS)).needs.base).to.deep.equal([]);
    isBadParcel(() => readDelta(manyRuns(MAX_PARCEL_RUNS + 1)));

    const tooLong = MAX_PARCEL_CONTENT / 512 + 1;
    isBadParcel(() => readDelta(one({ runs: [0, 2 * tooLong], lengths: [tooLong * 512 - 1] })));

    const manyReferences = (blocks: number): Uint8Array =>
      one({ baseCount: 1, references: varints([5, blocks]) });
    expect(readDelta(manyReferences(MAX_DELTA_REFERENCES / 512)).needs.base).to.have.length(2);
    isBadParcel(() => readDelta(manyReferences(MAX_DELTA_REFERENCES / 512 + 1)));

    const manySpans = (count: number): Uint8Array =>
      one({ baseCount: count, references: varints(new Array<number[]>(count).fill([1, 1]).flat()) });
    expect(blocksOf(readDelta(manySpans(MAX_DELTA_SPANS)).needs.base)).to.have.length(MAX_DELTA_SPANS + 1);
    isBadParcel(() => readDelta(manySpans(MAX_DELTA_SPANS + 1)));

    const manyParcels = (count: number): Uint8Array =>
      one({
        parcelCount: count,
        references: Buffer.concat(
          new Array<Uint8Array>(count).fill(Buffer.concat([Buffer.alloc(16), varints([1, 5, 1])])),
        ),
      });
    expect(readDelta(manyParcels(MAX_DELTA_PARCELS)).needs.parcels).to.have.length(MAX_DELTA_PARCELS);
    isBadParcel(() => readDelta(manyParcels(MAX_DELTA_PARCELS + 1)));

    const manyCopies = (count: number): Uint8Array => {
      const blocks = Math.ceil(count / 512);
      return one({
        runs: [0, blocks * 2],
        commands: Buffer.alloc(count),
        lengths: new Array<number>(count - 1).fill(0).concat(blocks * 512 - count),
      });
    };
    expect(readDelta(manyCopies(MAX_DELTA_COPIES)).needs.base).to.have.length(1);
    isBadParcel(() => readDelta(manyCopies(MAX_DELTA_COPIES + 1)));
  }).timeout(60_000);

  it('does not grow past its bound when a small one is a bomb', async () => {
    const bomb = packDelta(Buffer.alloc(MAX_DELTA_FORM + 1), compressor);
    expect(bomb.byteLength).to.be.lessThan(10_000);
    isBadParcel(() => openDelta(bomb, decompressor));
    const error: unknown = await openDeltaAsync(bomb, brotliDecompressor).catch((cause: unknown) => cause);
    expect(error).to.be.instanceOf(ProtocolError).with.property('code', 'bad-parcel');
  });
});

/** Some bytes changed, put in, taken away or doubled. */
function mutated(random: Seeded, bytes: Buffer): Buffer {
  let result = bytes;
  for (let left = 1 + random.below(3); left > 0; left--) {
    const at = random.below(result.byteLength);
    switch (random.below(5)) {
      case 0:
        result = result.subarray(0, at + 1);
        break;
      case 1:
        result = Buffer.concat([
          result.subarray(0, at),
          random.bytes(1 + random.below(8)),
          result.subarray(at),
        ]);
        break;
      case 2:
        result = Buffer.concat([
          result.subarray(0, at),
          result.subarray(Math.min(at + 1, result.byteLength - 1)),
        ]);
        break;
      default:
        result = Buffer.from(result);
        result[at] = random.chance(0.5)
          ? random.below(256)
          : (result[at]! + random.pick([1, 255, 32, 128])) & 255;
    }
  }
  return result;
}

/** What a delta needs, at random; null where that would be slow to make. */
function referencesOf(random: Seeded, { needs }: OpenedDelta): Parameters<OpenedDelta['apply']>[0] | null {
  const sizes = [needs.base, ...needs.parcels.map(({ spans }) => spans)].map(
    (spans) => spans.reduce((sum, { count }) => sum + count, 0) * needs.blockSize,
  );
  const total = sizes.reduce((sum, size) => sum + size, 0);
  expect(total).to.be.at.most(MAX_DELTA_REFERENCES + MAX_PARCEL_CONTENT);
  if (total > 1 << 20) return null;
  const [base, ...parcels] = sizes.map((size) => random.bytes(size));
  return { base: base!, parcels };
}

interface Parts {
  readonly flags: number;
  readonly blockSize: number;
  readonly runCount: number;
  readonly baseCount: number;
  readonly parcelCount: number;
  readonly runs: readonly number[];
  readonly references: Uint8Array;
  readonly commands: Uint8Array;
  readonly literals: readonly number[];
  readonly lengths: readonly number[];
  readonly blocks: readonly number[];
  readonly offsets: readonly number[];
  readonly replaced: Uint8Array;
  readonly fresh: Uint8Array;
}

/** Block 0 is a copy of itself. */
const SMALL: Parts = {
  flags: 0,
  blockSize: 512,
  runCount: 1,
  baseCount: 0,
  parcelCount: 0,
  runs: [0, 2],
  references: Buffer.alloc(0),
  commands: Buffer.of(0),
  literals: [],
  lengths: [511],
  blocks: [],
  offsets: [],
  replaced: Buffer.alloc(0),
  fresh: Buffer.alloc(0),
};

function varints(values: readonly number[]): Uint8Array {
  const writer = new VarintWriter();
  for (const value of values) writer.write(value);
  return writer.bytes();
}

function form(parts: Parts): Uint8Array {
  const sections = [
    varints(parts.runs),
    parts.references,
    parts.commands,
    varints(parts.literals),
    varints(parts.lengths),
    varints(parts.blocks),
    varints(parts.offsets),
    parts.replaced,
  ];
  return Buffer.concat([
    varints([parts.flags, parts.blockSize, parts.runCount, parts.baseCount, parts.parcelCount]),
    varints(sections.map(({ byteLength }) => byteLength)),
    ...sections,
    parts.fresh,
  ]);
}
