import { expect } from 'chai';
import { brotliCompressSync, brotliDecompressSync, constants } from 'node:zlib';
import { isDelta, openDelta } from '../../../protocol/parcel/delta.js';
import type { BlockSpan } from '../../../protocol/parcel/delta-layout.js';
import {
  decodeParcel,
  serializeParcel,
  type Compressor,
  type Decompressor,
  type ParcelContent,
} from '../../../protocol/parcel/parcel.js';
import { blockIndex, parcelId, type BlockIndex } from '../../../protocol/units.js';
import { blocksOf, contentBlocks } from '../../../src/encoding/delta-draft.js';
import { addBlocks } from '../../../src/encoding/index-builder.js';
import { encodeWithReferences } from '../../../src/encoding/parcel-encoder.js';
import { ReferenceIndex } from '../../../src/encoding/reference-index.js';
import { NO_REFERENCES, type EarlierParcel, type References } from '../../../src/encoding/references.js';
import { Seeded, seedOfThisRun } from '../../support/seeded.js';

const BLOCK = 4096;
/** Volumes of random content, each with three parcels. */
const RUNS = process.env['FARCOPY_SOAK'] === '1' ? 1000 : 20;
const compressor: Compressor = {
  compress: (bytes) => brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } }),
};
const decompressor: Decompressor = {
  decompress: (bytes, limit) => brotliDecompressSync(bytes, { maxOutputLength: limit }),
};
const OPTIONS = { compressor, effort: 'thorough' } as const;

/** A volume's base state, and what its blocks in `absent` really hold at the other side is not known. */
class Base {
  readonly index: ReferenceIndex;
  read = 0;

  constructor(
    readonly content: Buffer,
    readonly absent: ReadonlySet<number> = new Set(),
    readonly blockSize = BLOCK,
  ) {
    const blocks = content.byteLength / blockSize;
    this.index = ReferenceIndex.create({ blocks, blockSize, memoryBytes: 1 << 20 });
    addBlocks(this.index, 0, content);
  }

  block(index: number): Buffer {
    const block = this.content.subarray(index * this.blockSize, (index + 1) * this.blockSize);
    return block.byteLength === 0 ? Buffer.alloc(this.blockSize) : block;
  }

  references(parcel: ParcelContent, earlier: readonly EarlierParcel[] = []): References {
    const own = contentBlocks(parcel.runs);
    return {
      own: {
        content: Buffer.concat(own.map((index) => this.block(index))),
        present: Uint8Array.from(own, (index) => (this.absent.has(index) ? 0 : 1)),
      },
      base: {
        read: (blocks: readonly BlockIndex[]) => {
          this.read += blocks.length;
          return Promise.resolve(blocks.map((index) => (this.absent.has(index) ? null : this.block(index))));
        },
      },
      finder: this.index,
      earlier,
    };
  }

  /** As the other side decodes it: its absent blocks hold something else. */
  decode(encoded: Uint8Array, earlier: readonly EarlierParcel[] = []): Uint8Array {
    if (!isDelta(encoded)) return decodeParcel(encoded, decompressor);
    const opened = openDelta(encoded, decompressor);
    const { base, parcels } = opened.needs;
    return opened.apply({
      base: Buffer.concat(
        each(base).map((index) =>
          this.absent.has(index) ? Buffer.alloc(this.blockSize, 0xee) : this.block(index),
        ),
      ),
      parcels: parcels.map(({ id, spans }) => {
        const from = blocksOf(earlier.find((parcel) => parcel.id === id)!.parcel);
        return Buffer.concat(each(spans).map((index) => from.find(({ block }) => block === index)!.content));
      }),
    });
  }
}

const each = (spans: readonly BlockSpan[]): number[] =>
  spans.flatMap(({ start, count }) => Array.from({ length: count }, (_, i) => start + i));

const parcelAt = (start: number, content: Buffer, blockSize = BLOCK): ParcelContent => ({
  blockSize,
  runs: [{ start: blockIndex(start), count: content.byteLength / blockSize, zero: false }],
  content,
});

const idOf = (number: number): ReturnType<typeof parcelId> => parcelId(number.toString(16).padStart(32, '0'));

describe('the encoding of a parcel', () => {
  const seed = seedOfThisRun();

  async function roundTrip(
    base: Base,
    parcel: ParcelContent,
    earlier: readonly EarlierParcel[] = [],
  ): Promise<Uint8Array> {
    const { encoded } = await encodeWithReferences(parcel, base.references(parcel, earlier), OPTIONS);
    expect(Buffer.compare(base.decode(encoded, earlier), serializeParcel(parcel))).to.equal(0);
    return encoded;
  }

  it(`tells scattered bytes by their difference from the blocks before (SEED=${seed})`, async () => {
    const random = new Seeded(seed);
    const base = new Base(random.bytes(1000 * BLOCK));
    const runs = Array.from({ length: 140 }, (_, i) => ({ start: blockIndex(i * 7), count: 1, zero: false }));
    const content = Buffer.concat(runs.map(({ start }) => base.block(start)));
    for (let i = 0; i < runs.length; i++) content[i * BLOCK + random.below(BLOCK)] = random.below(256);
    const encoded = await roundTrip(base, { blockSize: BLOCK, runs, content });
    expect(encoded.byteLength).to.be.lessThan(140 * 12);
  });

  it(`finds what was moved elsewhere in the volume, at any distance (SEED=${seed})`, async () => {
    const random = new Seeded(seed);
    const base = new Base(random.bytes(600 * BLOCK));
    const moved = base.content.subarray(300 * BLOCK, 340 * BLOCK);
    expect((await roundTrip(base, parcelAt(10, moved))).byteLength).to.be.lessThan(100);
    const shifted = base.content.subarray(300 * BLOCK + 1234, 340 * BLOCK + 1234);
    expect((await roundTrip(base, parcelAt(10, shifted))).byteLength).to.be.lessThan(200);
    expect(base.read).to.be.lessThan(400);
  });

  it(`refers to earlier parcels, and to the parcel itself (SEED=${seed})`, async () => {
    const random = new Seeded(seed);
    const base = new Base(Buffer.alloc(100 * BLOCK));
    const news = random.bytes(8 * BLOCK);
    const earlier = [{ id: idOf(1), parcel: parcelAt(0, news) }];
    const again = Buffer.concat([Buffer.from('a few bytes'), news, Buffer.alloc(BLOCK - 11, 7)]);
    expect((await roundTrip(base, parcelAt(50, again), earlier)).byteLength).to.be.lessThan(100);
    expect((await roundTrip(base, parcelAt(50, Buffer.concat([news, news])))).byteLength).to.be.lessThan(
      8 * BLOCK + 200,
    );
  });

  it(`never refers to what the other side may not hold (SEED=${seed})`, async () => {
    const random = new Seeded(seed);
    const content = random.bytes(64 * BLOCK);
    const base = new Base(content, new Set([3, 4, 9, 20, 21, 22, 40]));
    const changed = Buffer.from(content.subarray(0, 12 * BLOCK));
    for (let i = 0; i < 40; i++) changed[random.below(changed.byteLength)] = random.below(256);
    await roundTrip(base, parcelAt(0, changed));
    await roundTrip(base, parcelAt(50, content.subarray(18 * BLOCK, 26 * BLOCK)));
    // What is found in block 20 may not be drawn out backwards into block 19, which lies before it in the address space.
    const other = new Base(content, new Set([19]));
    await roundTrip(other, parcelAt(17, content.subarray(18.5 * BLOCK, 21.5 * BLOCK)));
    await roundTrip(base, parcelAt(2, content.subarray(2 * BLOCK + 5, 5 * BLOCK + 5)));
  });

  it(`without references is plain, and never longer than raw (SEED=${seed})`, async () => {
    const random = new Seeded(seed);
    for (const content of [random.bytes(4 * BLOCK), Buffer.alloc(4 * BLOCK, 'text '), Buffer.alloc(0)]) {
      const parcel = {
        ...parcelAt(3, content),
        runs: content.byteLength === 0 ? [] : parcelAt(3, content).runs,
      };
      const { encoded } = await encodeWithReferences(parcel, NO_REFERENCES, OPTIONS);
      const serialized = serializeParcel(parcel);
      expect(encoded.byteLength).to.be.at.most(serialized.byteLength + 1);
      const made = isDelta(encoded)
        ? openDelta(encoded, decompressor).apply({ base: new Uint8Array(), parcels: [] })
        : decodeParcel(encoded, decompressor);
      expect(Buffer.compare(made, serialized)).to.equal(0);
    }
  });

  it(`random parcels against random references come back as they were (SEED=${seed})`, async function () {
    this.timeout(240_000);
    const random = new Seeded(seed);
    for (let run = 0; run < RUNS; run++) {
      const blockSize = random.pick([512, 512, 1024, 4096]);
      const blocks = 40;
      const text = random.bytes(300).toString('base64');
      const volume = random.bytes(blocks * blockSize);
      for (let i = random.below(20); i > 0; i--) volume.write(text, random.below(volume.byteLength));
      const absent = new Set(Array.from({ length: random.below(10) }, () => random.below(blocks)));
      const base = new Base(volume, absent, blockSize);
      const earlier: EarlierParcel[] = [];
      for (let number = 1; number <= 3; number++) {
        const parcel = randomParcel(random, base, earlier, text);
        const { encoded } = await encodeWithReferences(parcel, base.references(parcel, earlier), {
          compressor,
          effort: random.pick(['quick', 'thorough']),
        });
        const same = Buffer.compare(base.decode(encoded, earlier), serializeParcel(parcel)) === 0;
        expect(same, `run ${run}, parcel ${number}`).to.equal(true);
        earlier.push({ id: idOf(number), parcel });
      }
    }
  });
});

/** Blocks made of pieces of the base, of earlier parcels, of themselves, and of something new. */
function randomParcel(
  random: Seeded,
  base: Base,
  earlier: readonly EarlierParcel[],
  text: string,
): ParcelContent {
  const { blockSize } = base;
  const runs: { start: BlockIndex; count: number; zero: boolean }[] = [];
  let blocks = 0;
  for (let at = random.below(4); at < 45; at += random.below(5)) {
    const run = { start: blockIndex(at), count: 1 + random.below(4), zero: random.chance(0.2) };
    runs.push(run);
    at += run.count;
    if (!run.zero) blocks += run.count;
  }
  const own = contentBlocks(runs);
  const content = Buffer.alloc(blocks * blockSize);
  for (const [i, index] of own.entries()) base.block(index).copy(content, i * blockSize);
  for (let left = random.below(30); left > 0 && content.byteLength > 0; left--) {
    const from = random.pick([
      base.content,
      content,
      ...earlier.map(({ parcel }) => Buffer.from(parcel.content)),
    ]);
    const to = random.below(content.byteLength);
    switch (random.below(4)) {
      case 0:
        content[to] = random.below(256);
        break;
      case 1:
        content.write(text.slice(random.below(200)), to);
        break;
      default:
        from.copy(content, to, random.below(from.byteLength + 1), from.byteLength);
    }
  }
  return { blockSize, runs, content };
}
