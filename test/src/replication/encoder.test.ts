import { expect } from 'chai';
import { brotliDecompressSync } from 'node:zlib';
import { openDelta, isDelta } from '../../../protocol/parcel/delta.js';
import {
  decodeParcel,
  parcelDigest,
  serializeParcel,
  type ParcelContent,
} from '../../../protocol/parcel/parcel.js';
import { blockIndex, parcelId, type BlockIndex } from '../../../protocol/units.js';
import type { BaseBlocks } from '../../../src/engine/volume-service.js';
import { ReferenceIndex } from '../../../src/encoding/reference-index.js';
import { silentLog } from '../../../src/platform/log.js';
import { EarlierParcels } from '../../../src/replication/earlier-parcels.js';
import { Encoder, type ParcelReferences } from '../../../src/replication/encoder.js';
import { VolumeIndex } from '../../../src/replication/volume-index.js';
import { CrashFiles } from '../../support/crash-files.js';
import { Seeded } from '../../support/seeded.js';
import { BLOCK, ModelVolume } from './model-volume.js';
import { VirtualClock } from '../../support/virtual-clock.js';

const BLOCKS = 64;
const decompressor = { decompress: (bytes: Uint8Array): Uint8Array => brotliDecompressSync(bytes) };
const never = new AbortController().signal;
const id = (digit: string): ReturnType<typeof parcelId> => parcelId(digit.repeat(32));

describe('the encoder in its thread', function () {
  this.timeout(60_000);
  const random = new Seeded(5);
  const base = new Uint8Array(random.bytes(BLOCKS * BLOCK));
  let encoder: Encoder;
  let troubles: string[];
  beforeEach(() => {
    troubles = [];
    encoder = new Encoder((text) => troubles.push(text));
  });
  afterEach(() => encoder.close());

  const blockOf = (block: number): Uint8Array => base.slice(block * BLOCK, (block + 1) * BLOCK);
  const parcelOf = (start: number, ...blocks: Uint8Array[]): ParcelContent => ({
    blockSize: BLOCK,
    runs: [{ start: blockIndex(start), count: blocks.length, zero: false }],
    content: new Uint8Array(Buffer.concat(blocks)),
  });
  const readBase = (blocks: readonly BlockIndex[]): Promise<BaseBlocks> =>
    Promise.resolve({
      content: new Uint8Array(Buffer.concat(blocks.map(blockOf))),
      known: Uint8Array.from(blocks, (block) => (block < BLOCKS ? 1 : 0)),
    });
  const nothing: ParcelReferences = { id: id('1'), earlier: [], before: null, readBase: null, index: null };

  /** As the far side does it. */
  function decode(encoded: Uint8Array, earlier: ReadonlyMap<string, ParcelContent> = new Map()): Uint8Array {
    if (!isDelta(encoded)) return decodeParcel(encoded, decompressor);
    const delta = openDelta(encoded, decompressor);
    const indices = (spans: readonly { start: number; count: number }[]): number[] =>
      spans.flatMap(({ start, count }) => Array.from({ length: count }, (_, i) => start + i));
    return delta.apply({
      base: new Uint8Array(Buffer.concat(indices(delta.needs.base).map(blockOf))),
      parcels: delta.needs.parcels.map((needed) => {
        const { runs, content } = earlier.get(needed.id)!;
        const at = (block: number): number => (block - runs[0]!.start) * BLOCK;
        return new Uint8Array(
          Buffer.concat(indices(needed.spans).map((block) => content.subarray(at(block), at(block) + BLOCK))),
        );
      }),
    });
  }

  it('finds what lies elsewhere in the base state by the index, and what an earlier parcel brought', async () => {
    const { shared: index } = ReferenceIndex.create({
      blocks: BLOCKS,
      blockSize: BLOCK,
      memoryBytes: 1 << 20,
    });
    await encoder.note(index, BLOCK, 0, base.slice());
    const fresh = new Uint8Array(random.bytes(BLOCK));
    const first = parcelOf(3, blockOf(40), blockOf(41), fresh.slice());
    const second = parcelOf(20, fresh.slice());
    const one = await encoder.encode(first, 9, { ...nothing, id: id('1'), readBase, index }, never);
    expect(one.encoded.byteLength).to.be.within(BLOCK, BLOCK + 120);
    expect(Buffer.compare(decode(one.encoded), serializeParcel(first))).to.equal(0);
    const two = await encoder.encode(
      second,
      9,
      { ...nothing, id: id('2'), earlier: [id('1')], readBase, index },
      never,
    );
    expect(two.encoded.byteLength).to.be.below(80);
    expect(
      Buffer.compare(two.digest, parcelDigest(decode(two.encoded, new Map([[id('1'), first]])))),
    ).to.equal(0);
    // Of a parcel that is not the set's any more nothing is taken.
    const three = await encoder.encode(second, 9, { ...nothing, id: id('3'), readBase, index: null }, never);
    expect(three.encoded.byteLength).to.be.above(BLOCK);
    expect(troubles).to.deep.equal([]);
  });

  it('does without what cannot be read', async () => {
    const { shared: index } = ReferenceIndex.create({
      blocks: BLOCKS,
      blockSize: BLOCK,
      memoryBytes: 1 << 20,
    });
    await encoder.note(index, BLOCK, 0, base.slice());
    const broken = (): Promise<BaseBlocks> => Promise.reject(new Error('the volume is gone'));
    const parcel = parcelOf(3, blockOf(40));
    const { encoded } = await encoder.encode(parcel, 9, { ...nothing, readBase: broken, index }, never);
    expect(Buffer.compare(decode(encoded), serializeParcel(parcel))).to.equal(0);
  });

  it('stops at once when it is told to, also while it waits for the base, and the next parcel is encoded', async () => {
    const { shared: index } = ReferenceIndex.create({
      blocks: BLOCKS,
      blockSize: BLOCK,
      memoryBytes: 1 << 20,
    });
    await encoder.note(index, BLOCK, 0, base.slice());
    const abort = new AbortController();
    const stuck = (): Promise<BaseBlocks> => {
      abort.abort(new Error('not wanted'));
      return new Promise(() => undefined);
    };
    const parcel = parcelOf(3, blockOf(40));
    const failure = await encoder
      .encode(parcel, 9, { ...nothing, readBase: stuck, index }, abort.signal)
      .catch((error: unknown) => error);
    expect(failure).to.equal(abort.signal.reason);
    const { encoded } = await encoder.encode(parcel, 9, { ...nothing, readBase, index }, never);
    expect(encoded.byteLength).to.be.below(80);
  });
});

describe('what earlier parcels held', () => {
  it('is remembered up to a bound, the newest longest', () => {
    const parcels = new EarlierParcels();
    const large = (): ParcelContent => ({ blockSize: BLOCK, runs: [], content: new Uint8Array(12 << 20) });
    for (const digit of ['1', '2', '3']) parcels.remember(id(digit), large());
    expect(parcels.of([id('1'), id('3'), id('2'), id('4')]).map((each) => each.id)).to.deep.equal([
      id('3'),
      id('2'),
    ]);
  });
});

describe('the index of a volume', () => {
  it('is looked through while nothing else is done, kept, and taken up again', async () => {
    const clock = new VirtualClock();
    const volume = new ModelVolume(new Seeded(8), 'ledger', 400);
    for (let block = 0; block < 400; block += 3) volume.write(block, volume.seeded.bytes(BLOCK));
    const noted: number[] = [];
    const options = {
      volume,
      blockSize: BLOCK,
      sizeBytes: 400 * BLOCK,
      memoryBytes: 1 << 20,
      files: new CrashFiles(),
      path: '/state/references.index',
      noter: {
        note: (_index: SharedArrayBuffer, _size: number, start: number): Promise<void> => {
          noted.push(start);
          return Promise.resolve();
        },
      },
      clock,
      log: silentLog,
    };
    await options.files.makeFolder('/state');
    const index = new VolumeIndex(options);
    expect(index.shared).to.equal(null);
    index.start();
    await clock.pass(60_000);
    expect([index.isBuilt, noted]).to.deep.equal([false, []], 'there is no state to look at');
    await volume.seal({ grade: 'crash', pinAs: ['base:vault'] });
    await clock.until('it is built', () => index.isBuilt);
    expect(noted).to.deep.equal(Array.from({ length: 134 }, (_, i) => i * 3));
    await index.close();
    const again = new VolumeIndex(options);
    again.start();
    await clock.until('it is there', () => again.isBuilt);
    expect(noted).to.have.length(134);
    await again.close();
    // Damaged, it is made again.
    options.files.contentOf(options.path)[5000]! ^= 1;
    const anew = new VolumeIndex(options);
    anew.start();
    await clock.pass(10);
    expect(anew.isBuilt).to.equal(false);
    await clock.until('it is built again', () => anew.isBuilt);
    await anew.close();
  });

  it('of no memory is none', async () => {
    const clock = new VirtualClock();
    const volume = new ModelVolume(new Seeded(8), 'ledger', 4);
    const noter = { note: (): Promise<void> => Promise.reject(new Error('not in this test')) };
    const files = new CrashFiles();
    const index = new VolumeIndex({
      volume,
      blockSize: BLOCK,
      sizeBytes: 4 * BLOCK,
      memoryBytes: 0,
      files,
      path: '/state/references.index',
      noter,
      clock,
      log: silentLog,
    });
    index.start();
    await clock.pass(1000);
    expect(index.shared).to.equal(null);
    await index.close();
    expect(files.paths('/')).to.deep.equal([]);
  });
});
