import { expect } from 'chai';
import { byteCount, type StateId } from '../../../protocol/units.js';
import { RottenBlocks, type StoreError } from '../../../src/store/errors.js';
import { restoreState } from '../../../src/store/restore.js';
import { Store } from '../../../src/store/store.js';
import type { ScrubReport, VolumeStore } from '../../../src/store/volume-store.js';
import { CrashError, CrashFiles } from '../../support/crash-files.js';
import { Seeded, seedOfThisRun } from '../../support/seeded.js';
import {
  digestOf,
  expectPointsExact,
  expectScrubbedClean,
  MadeVolume,
  makeDelta,
  makeParcel,
  readAll,
  send,
  steppingClock,
  transfer,
  type Blocks,
  type MadeParcel,
  type MadeSet,
} from './made-sets.js';

const BLOCK = 512;
const FOLDER = '/store/branch/ledger';
const signal = new AbortController().signal;

const all = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

describe('a scrub of a volume', () => {
  const seed = seedOfThisRun();
  let seeded: Seeded;
  let volume: MadeVolume;
  let files: CrashFiles;
  let store: Store;
  let copy: VolumeStore;

  beforeEach(async () => {
    seeded = new Seeded(seed);
    volume = new MadeVolume(seeded, BLOCK, 16);
    await openOn(new CrashFiles());
  });

  const openOn = async (disk: CrashFiles): Promise<void> => {
    files = disk;
    store = await Store.open({ folder: '/store', files, clock: steppingClock(), random: seeded });
    copy = await store.volume('branch', 'ledger');
  };
  const reopen = async (): Promise<void> => {
    await store.close();
    await openOn(files);
  };
  const random = (...indices: number[]): Blocks =>
    new Map(indices.map((index) => [index, seeded.bytes(BLOCK)]));
  const apply = async (blocks: Blocks): Promise<StateId> => {
    const set = volume.setOf([makeParcel(seeded, BLOCK, blocks)]);
    await transfer(copy, set, seeded);
    volume.accept(set);
    return set.offer.to.id;
  };
  const flip = (name: string, at: number): void => {
    const content = files.contentOf(`${FOLDER}/${name}`);
    content[at] = (content[at] as number) ^ 0x10;
  };
  const scrub = (): Promise<ScrubReport> => copy.scrub({ signal });
  const ranges = (...blocks: number[]) => blocks.map((block) => ({ start: block, end: block + 1 }));
  const read = async (state: StateId): Promise<Uint8Array | string> => {
    const reader = await copy.openState(state);
    try {
      return await readAll(reader);
    } catch (error) {
      if (!(error instanceof RottenBlocks)) throw error;
      return error.code;
    } finally {
      await reader.close();
    }
  };

  it('finds a flipped bit in any block that holds something, and where zeros were or should be', async () => {
    await apply(random(1, 2, 3, 9));
    await expectScrubbedClean(copy);
    for (const block of [0, 1, 9, 15]) flip('image', block * BLOCK + 77);
    files.contentOf(`${FOLDER}/image`).fill(0, 2 * BLOCK, 3 * BLOCK);
    const found = await scrub();
    expect(found.rotten).to.deep.equal([
      { start: 0, end: 3 },
      { start: 9, end: 10 },
      { start: 15, end: 16 },
    ]);
    expect(found).to.deep.include({ unknown: [], records: [] });
    expect(found.points.map(({ blocks }) => blocks)).to.deep.equal([5]);
    // It is remembered over a restart.
    await reopen();
    expect(copy.status().suspects?.blocks).to.deep.equal(found.rotten);
  });

  it('tells a digest that has rotted from a block that has, and trusts neither', async () => {
    await apply(random(4, 5, 6));
    flip('digests', 4096 + 5 * 8 + 1);
    flip('digests', 4096 + 2 * 8 + 6);
    const found = await scrub();
    expect([found.rotten, found.unknown]).to.deep.equal([[], ranges(2, 5)]);
    expect(copy.status().suspects?.blocks).to.deep.equal(ranges(2, 5));
    // The primary has found them equal.
    const state = copy.status().state!.id;
    await copy.trust(state, ranges(5));
    expect(copy.status().suspects?.blocks).to.deep.equal(ranges(2));
    await copy.trust(state, null);
    await expectScrubbedClean(copy);
  });

  it('a block that the next set overwrites is healed; of the older point it is told that it is lost', async () => {
    const first = await apply(random(1, 2, 3));
    const second = await apply(random(3));
    flip('image', 2 * BLOCK);
    expect((await scrub()).points.map(({ state }) => state.id)).to.deep.equal([second, first]);
    const third = await apply(random(2));
    expect(copy.status().suspects).to.equal(null);
    const found = await scrub();
    expect([found.rotten, found.unknown]).to.deep.equal([[], []]);
    expect(found.increments.damaged).to.deep.equal([{ state: second, blocks: ranges(2) }]);
    expect(found.points.map(({ state, blocks }) => [state.id, blocks])).to.deep.equal([
      [second, 1],
      [first, 1],
    ]);
    expect(await read(third)).to.deep.equal(volume.contentOf(third));
    expect([await read(second), await read(first)]).to.deep.equal(['damaged', 'damaged']);
    // A merge carries it on, and does not make it good.
    await copy.removePoints(new Set([second]));
    expect((await scrub()).increments.damaged).to.deep.equal([{ state: first, blocks: ranges(2) }]);
    expect(await read(first)).to.equal('damaged');
  });

  it('a block that the next set brings back as it was heals the older points too', async () => {
    const content = random(1, 2, 3);
    await apply(content);
    await apply(random(3));
    flip('image', 2 * BLOCK + 9);
    expect((await scrub()).rotten).to.deep.equal(ranges(2));
    await apply(new Map([[2, content.get(2)!]]));
    await expectScrubbedClean(copy);
    expect(await expectPointsExact(copy, volume)).to.equal(3);
  });

  it('finds what has rotted in an increment, and the points that need it', async () => {
    const first = await apply(random(1, 2, 3));
    const second = await apply(random(2));
    await apply(random(2, 3));
    const [path] = files
      .paths(`${FOLDER}/increments`)
      .filter((each) => files.contentOf(each).byteLength > 4096 + 2 * BLOCK);
    flip(path!.slice(FOLDER.length + 1), 4096 + BLOCK + 3);
    const found = await scrub();
    expect(found.rotten).to.deep.equal([]);
    expect(found.increments).to.deep.include({ files: 2, blocks: 3 });
    expect(found.increments.damaged).to.deep.equal([{ state: second, blocks: ranges(3) }]);
    expect(found.points.map(({ state }) => state.id)).to.deep.equal([second, first]);
    expect(copy.status().suspects).to.equal(null);
  });

  it('an increment that cannot be read at all, and a record that has rotted, are told', async () => {
    const first = await apply(random(1));
    await apply(random(1));
    const [path] = files.paths(`${FOLDER}/increments`);
    await reopen();
    flip(path!.slice(FOLDER.length + 1), 3);
    flip('volume.json', 5);
    const found = await scrub();
    expect(found.increments.damaged).to.deep.equal([{ state: first, blocks: null }]);
    expect(found.points.map(({ state, blocks }) => [state.id, blocks])).to.deep.equal([[first, null]]);
    expect(found.records.join()).to.match(/volume\.json: damaged.*written anew/);
    expect((await scrub()).records).to.deep.equal([]);
  });

  it('makes the digests of a store of an older version, and of one that has lost them, and says so', async () => {
    await apply(random(1, 2, 3));
    for (const [lose, said] of [
      [(): Promise<void> => files.remove(`${FOLDER}/digests`), 'remade'],
      [(): void => flip('digests', 20), 'remade'],
    ] as const) {
      await store.close();
      await lose();
      await openOn(files);
      flip('image', 2 * BLOCK);
      // Nothing is believed, so nothing is told of the block.
      expect(await read(copy.status().state!.id)).to.be.instanceOf(Uint8Array);
      flip('image', 2 * BLOCK);
      const found = await scrub();
      expect([found.digests, found.rotten]).to.deep.equal([said, []]);
      await apply(random(2, 5));
      await reopen();
      await expectScrubbedClean(copy);
    }
  });

  it('makes digests while sets are applied, and is as if it was not when it is killed', async () => {
    await apply(random(1, 2, 3));
    await apply(random(4));
    await store.close();
    await files.remove(`${FOLDER}/digests`);
    const without = files;
    for (let crashAt = 0; ; crashAt++) {
      await openOn(without.killed({ crashAt }));
      const set = volume.setOf([makeParcel(seeded, BLOCK, random(2, 9))]);
      const ends = await Promise.allSettled([scrub(), transfer(copy, set, seeded)]);
      if (!files.hasCrashed) {
        expect(ends.map(({ status }) => status)).to.deep.equal(['fulfilled', 'fulfilled']);
        await reopen();
        await expectScrubbedClean(copy);
        break;
      }
      for (const end of ends) if (end.status === 'rejected') expect(end.reason).to.be.instanceOf(CrashError);
      for (const left of [files.killed(), files.powerCut(seed + crashAt)]) {
        await openOn(left);
        const found = await scrub();
        expect([found.rotten, found.unknown, found.points], `stopped at ${crashAt}`).to.deep.equal([
          [],
          [],
          [],
        ]);
        await expectScrubbedClean(copy);
      }
    }
  }).timeout(60_000);

  it('a set that is applied between two slices of the making finds no digest that is not there yet', async () => {
    const large = new MadeVolume(seeded, 4096, 700);
    const whole = makeParcel(seeded, 4096, new Map(all(700).map((index) => [index, seeded.bytes(4096)])));
    const of = (parcel: MadeParcel): MadeSet => {
      const plain = large.makeSet();
      const content = new Uint8Array(700 * 4096);
      content.set(large.states.at(-1)?.content ?? new Uint8Array());
      for (const [index, block] of parcel.blocks) content.set(block!, index * 4096);
      const to = { ...plain.offer.to, size: byteCount(content.byteLength) };
      const { id } = parcel.announcement;
      return {
        ...{ offer: { ...plain.offer, to }, parcels: [parcel], order: [id] },
        ...{ digest: digestOf(parcel.blocks), content },
      };
    };
    const bring = async (parcel: MadeParcel): Promise<void> => {
      const set = of(parcel);
      await transfer(copy, set, seeded);
      large.accept(set);
    };
    await bring(whole);
    await store.close();
    await files.remove(`${FOLDER}/digests`);
    await openOn(files);
    const next = makeParcel(seeded, 4096, new Map([5, 400, 690].map((index) => [index, seeded.bytes(4096)])));
    let slices = 0;
    const pace = async (): Promise<void> => {
      if (++slices === 1) await bring(next);
    };
    expect((await copy.scrub({ signal, pace })).digests).to.equal('remade');
    expect(slices).to.be.greaterThan(2);
    await expectScrubbedClean(copy);
    expect(await expectPointsExact(copy, large)).to.equal(2);
  });

  it('tells how far it is, in the image and in the increments', async () => {
    await apply(random(...all(16)));
    await apply(random(1, 2, 3));
    await apply(new Map([[4, null]]));
    const steps: [number, number][] = [];
    await copy.scrub({ signal, progress: (done, total) => steps.push([done, total]) });
    const total = (16 + 4) * BLOCK;
    expect(steps[0]).to.deep.equal([16 * BLOCK, total]);
    expect(steps.at(-1)).to.deep.equal([total, total]);
    expect(steps.length).to.be.greaterThan(2);
  });

  it('is refused while there is no state, and ends with its signal', async () => {
    expect(await scrub().catch((error: unknown) => (error as StoreError).code)).to.equal('unknown-point');
    await apply(random(1));
    const stop = new AbortController();
    stop.abort(new Error('enough'));
    expect(
      await copy.scrub({ signal: stop.signal }).catch((error: unknown) => (error as Error).message),
    ).to.equal('enough');
  });

  it('a parcel that does not fit because a block has rotted blames that block alone', async () => {
    await apply(random(1, 2, 3, 4));
    flip('image', 3 * BLOCK + 40);
    const base = volume.states.at(-1)!.content;
    const block = base.slice(3 * BLOCK, 4 * BLOCK);
    block[0]! ^= 1;
    const parcel = makeDelta(seeded, BLOCK, new Map([[9, block]]), { base, earlier: [] });
    const set = volume.setOf([parcel]);
    const error = await send(copy, set, seeded).catch((cause: unknown) => cause);
    expect(error).to.have.property('code', 'reference-mismatch');
    const { unfit } = error as { unfit: { base: { start: number; count: number }[] }[] };
    expect(unfit.map(({ base: spans }) => spans)).to.deep.equal([[{ start: 3, count: 1 }]]);
    expect(copy.status().suspects?.blocks).to.deep.equal(ranges(3));
  });

  it('a restore of what has rotted fails and says so, or tells of it and goes on', async () => {
    const state = await apply(random(1, 2, 3));
    flip('image', 2 * BLOCK);
    const reader = await copy.openState(state);
    await files.makeFolder('/out');
    const refused = await restoreState(reader, '/out/a', { files, force: false }).catch(
      (error: unknown) => error,
    );
    expect(refused).to.be.instanceOf(RottenBlocks);
    expect(await files.exists('/out/a')).to.equal(false);
    const { damaged } = await restoreState(reader, '/out/a', { files, force: false, damaged: 'keep' });
    await reader.close();
    expect(damaged).to.deep.equal(ranges(2));
    expect(Buffer.compare(files.contentOf('/out/a'), files.contentOf(`${FOLDER}/image`))).to.equal(0);
  });
});
