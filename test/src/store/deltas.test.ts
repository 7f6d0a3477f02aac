import { expect } from 'chai';
import { blockIndex } from '../../../protocol/units.js';
import { ReferenceMismatch, StoreError } from '../../../src/store/errors.js';
import { Store } from '../../../src/store/store.js';
import type { VolumeStore } from '../../../src/store/volume-store.js';
import { CrashFiles } from '../../support/crash-files.js';
import { Seeded, seedOfThisRun } from '../../support/seeded.js';
import {
  expectPointsExact,
  MadeVolume,
  makeDelta,
  makeParcel,
  steppingClock,
  transfer,
  type Blocks,
  type MadeParcel,
  type MadeSet,
} from './made-sets.js';

const BLOCK = 512;
const IMAGE = '/store/branch/ledger/image';

describe('a delta parcel in the store', () => {
  const seed = seedOfThisRun();
  let seeded: Seeded;
  let volume: MadeVolume;
  let files: CrashFiles;
  let copy: VolumeStore;
  beforeEach(async () => {
    seeded = new Seeded(seed);
    volume = new MadeVolume(seeded, BLOCK, 12);
    await openOn(new CrashFiles());
    const all = new Map(Array.from({ length: 12 }, (_, i) => [i, seeded.bytes(BLOCK)] as const));
    const first = volume.setOf([makeParcel(seeded, BLOCK, all)]);
    await transfer(copy, first, seeded);
    volume.accept(first);
  });

  async function openOn(disk: CrashFiles): Promise<void> {
    files = disk;
    const random = new Seeded(seeded.word());
    const store = await Store.open({ folder: '/store', files, clock: steppingClock(), random });
    copy = await store.volume('branch', 'ledger');
  }
  const held = (block: number): Uint8Array =>
    volume.states[0]!.content.slice(block * BLOCK, (block + 1) * BLOCK);
  const butForAByte = (block: Uint8Array): Uint8Array =>
    block.map((byte, i) => (i === 100 ? byte ^ 1 : byte));
  const delta = (blocks: Blocks, earlier: readonly MadeParcel[] = []): MadeParcel =>
    makeDelta(seeded, BLOCK, blocks, { base: volume.states[0]!.content, earlier });
  const append = (parcel: MadeParcel): Promise<unknown> =>
    copy.append(parcel.announcement.id, 0, parcel.encoded).then(
      () => null,
      (error: unknown) => error,
    );
  async function begin(set: MadeSet): Promise<void> {
    await copy.begin(set.offer);
    for (const { announcement } of set.parcels) await copy.announce(announcement);
  }
  async function finish(set: MadeSet): Promise<void> {
    await copy.commit(set.order, set.digest);
    await copy.apply();
    volume.accept(set);
    await expectPointsExact(copy, volume);
  }
  const bytesHeld = (): number[] =>
    copy
      .status()
      .capture!.parcels.map(({ held: ranges }) =>
        ranges.reduce((sum, { start, end }) => sum + end - start, 0),
      );

  it('costs a few bytes for blocks that are like others, and makes just what was announced', async () => {
    const one = delta(
      new Map([
        [3, butForAByte(held(3))],
        [4, held(9)],
        [5, null],
      ]),
    );
    const two = delta(new Map([[6, butForAByte(one.blocks.get(3)!)]]), [one]);
    const set = volume.setOf([one, two]);
    expect(one.encoded.byteLength + two.encoded.byteLength).to.be.below(160);
    await begin(set);
    expect([await append(one), await append(two)]).to.deep.equal([null, null]);
    await finish(set);
  });

  it('waits for a parcel that it refers to, over a kill too', async () => {
    const one = delta(new Map([[3, seeded.bytes(BLOCK)]]));
    const two = delta(new Map([[6, butForAByte(one.blocks.get(3)!)]]), [one]);
    const three = delta(new Map([[7, butForAByte(two.blocks.get(6)!)]]), [two]);
    const set = volume.setOf([one, two, three]);
    await begin(set);
    expect([await append(three), await append(two)]).to.deep.equal([null, null]);
    expect(bytesHeld().slice(1)).to.deep.equal([two.encoded.byteLength, three.encoded.byteLength]);
    expect(await copy.commit(set.order, set.digest).catch((error: unknown) => error)).to.include({
      code: 'incomplete-capture',
    });
    await openOn(files.killed());
    expect(await append(one)).to.equal(null);
    await finish(set);
  });

  it('over a rotten block is unfit: its bytes go, its place stays, and it comes again without references', async () => {
    const blocks = new Map([[3, butForAByte(held(3))]]);
    const one = delta(blocks);
    const two = delta(new Map([[6, butForAByte(held(7))]]));
    const set = volume.setOf([one, two]);
    await begin(set);
    files.contentOf(IMAGE)[3 * BLOCK + 200]! ^= 4;
    const error = await append(one);
    if (!(error instanceof ReferenceMismatch)) throw new Error(`no mismatch: ${String(error)}`);
    expect(error.unfit).to.deep.equal([{ id: one.announcement.id, base: [{ start: 3, count: 1 }] }]);
    expect(await append(two)).to.equal(null);
    expect(bytesHeld()).to.deep.equal([0, two.encoded.byteLength]);
    // Neither a power cut brings the bytes back, nor does it change the order.
    await openOn(files.powerCut(seeded.word()));
    expect(bytesHeld()).to.deep.equal([0, two.encoded.byteLength]);
    const plain = makeParcel(seeded, BLOCK, blocks);
    const again = { ...plain, announcement: { ...plain.announcement, id: one.announcement.id } };
    await copy.announce(again.announcement);
    expect(await append(again)).to.equal(null);
    await copy.commit(set.order, set.digest);
    await copy.apply();
  });

  it('that refers to a parcel which is not held, or has not got the block, is unfit', async () => {
    const dropped = delta(new Map([[3, seeded.bytes(BLOCK)]]));
    const one = delta(new Map([[6, butForAByte(dropped.blocks.get(3)!)]]), [dropped]);
    const other = makeParcel(seeded, BLOCK, new Map([[8, seeded.bytes(BLOCK)]]));
    const two = delta(new Map([[7, butForAByte(other.blocks.get(8)!)]]), [other]);
    const lacking = { ...makeParcel(seeded, BLOCK, new Map([[9, held(1)]])) };
    const parcels = [
      one,
      { ...lacking, announcement: { ...lacking.announcement, id: other.announcement.id } },
      two,
    ];
    await begin(volume.setOf(parcels));
    expect(await append(one)).to.be.instanceOf(ReferenceMismatch);
    expect(await append(parcels[1]!)).to.equal(null);
    expect(await append(two)).to.be.instanceOf(ReferenceMismatch);
  });

  it('that waited and turns out damaged is unfit, and the parcel it waited for is kept', async () => {
    const one = delta(new Map([[3, seeded.bytes(BLOCK)]]));
    const two = delta(new Map([[6, butForAByte(one.blocks.get(3)!)]]), [one]);
    await begin(
      volume.setOf([one, { ...two, announcement: { ...two.announcement, digest: new Uint8Array(32) } }]),
    );
    expect(await append(two)).to.equal(null);
    const error = await append(one);
    expect((error as ReferenceMismatch).unfit.map(({ id }) => id)).to.deep.equal([two.announcement.id]);
    expect(bytesHeld()).to.deep.equal([one.encoded.byteLength, 0]);
  });

  it('refers past the end of the base state to zeros', async () => {
    const parcel = makeDelta(seeded, BLOCK, new Map([[2, new Uint8Array(BLOCK).fill(0, 1).fill(7, 9, 12)]]), {
      base: new Uint8Array(Buffer.concat([volume.states[0]!.content, new Uint8Array(28 * BLOCK)])),
      earlier: [],
    });
    const set = volume.setOf([parcel]);
    await begin(set);
    expect(await append(parcel)).to.equal(null);
    await finish(set);
  });

  it('of a first copy refers to no base state, and to parcels that are in the image already', async () => {
    const store = await Store.open({ folder: '/other', files, clock: steppingClock(), random: seeded });
    copy = await store.volume('branch', 'ledger');
    volume = new MadeVolume(seeded, BLOCK, 12);
    const one = makeParcel(seeded, BLOCK, new Map([[3, seeded.bytes(BLOCK)]]));
    const two = makeDelta(seeded, BLOCK, new Map([[6, butForAByte(one.blocks.get(3)!)]]), {
      base: null,
      earlier: [one],
    });
    const based = makeDelta(seeded, BLOCK, new Map([[7, one.blocks.get(3)!]]), {
      base: new Uint8Array(Buffer.concat([one.blocks.get(3)!, new Uint8Array(BLOCK)])),
      earlier: [],
    });
    const set = volume.setOf([one, two]);
    await begin(set);
    await copy.announce(based.announcement);
    expect([await append(one), await append(two)]).to.deep.equal([null, null]);
    const refused = await append(based);
    expect(refused).to.be.instanceOf(StoreError).and.include({ code: 'bad-parcel' });
    await finish(set);
    // The first parcel has rotted in the image: what refers to it cannot be made out.
    const next = await store.volume('branch', 'books');
    copy = next;
    await begin(set);
    expect(await append(one)).to.equal(null);
    files.contentOf('/other/branch/books/image')[3 * BLOCK]! ^= 1;
    expect(await append(two)).to.be.instanceOf(ReferenceMismatch);
  });

  it('of another block size is damaged', async () => {
    const parcel = makeDelta(seeded, 1024, new Map([[1, seeded.bytes(1024)]]), {
      base: new Uint8Array(4096),
      earlier: [],
    });
    await begin(volume.setOf([makeParcel(seeded, BLOCK, new Map([[blockIndex(1), seeded.bytes(BLOCK)]]))]));
    await copy.announce(parcel.announcement);
    expect(await append(parcel)).to.include({ code: 'bad-parcel' });
  });
});
