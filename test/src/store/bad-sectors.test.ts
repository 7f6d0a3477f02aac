import { expect } from 'chai';
import type { StateId } from '../../../protocol/units.js';
import type { StoreError } from '../../../src/store/errors.js';
import { restoreState } from '../../../src/store/restore.js';
import { Store } from '../../../src/store/store.js';
import type { ScrubReport, VolumeStore } from '../../../src/store/volume-store.js';
import { BadSectors } from '../../support/bad-sectors.js';
import { CrashFiles } from '../../support/crash-files.js';
import { Seeded, seedOfThisRun } from '../../support/seeded.js';
import {
  MadeVolume,
  makeDelta,
  makeParcel,
  readAll,
  send,
  steppingClock,
  transfer,
  type Blocks,
} from './made-sets.js';

const BLOCK = 512;
const BLOCKS = 16;
const FOLDER = '/store/branch/ledger';

/** With the digests of a store, and without them, as an older version has left one. */
for (const hasDigests of [true, false]) {
  describe(`a copy on a disk with bad sectors, ${hasDigests ? 'with' : 'without'} digests`, () => {
    const seed = seedOfThisRun();
    let seeded: Seeded;
    let volume: MadeVolume;
    let files: CrashFiles;
    let disk: BadSectors;
    /** The same of the digests, in their pages. */
    let ofDigests: BadSectors;
    let store: Store;
    let copy: VolumeStore;

    beforeEach(async () => {
      seeded = new Seeded(seed);
      volume = new MadeVolume(seeded, BLOCK, BLOCKS);
      files = new CrashFiles();
      disk = new BadSectors(`${FOLDER}/image`, BLOCK);
      ofDigests = new BadSectors(`${FOLDER}/digests`, 4096);
      await open();
      await apply(random(1, 2, 3, 4, 5));
      if (hasDigests) return;
      await store.close();
      await files.remove(`${FOLDER}/digests`);
      await open();
    });
    afterEach(() => store.close());

    const open = async (): Promise<void> => {
      store = await Store.open({
        folder: '/store',
        files: ofDigests.of(disk.of(files)),
        clock: steppingClock(),
        random: new Seeded(seeded.word()),
      });
      copy = await store.volume('branch', 'ledger');
    };
    const random = (...indices: number[]): Blocks =>
      new Map(indices.map((index) => [index, seeded.bytes(BLOCK)]));
    const apply = async (blocks: Blocks): Promise<StateId> => {
      const set = volume.setOf([makeParcel(seeded, BLOCK, blocks)]);
      await transfer(copy, set, seeded);
      volume.accept(set);
      return set.offer.to.id;
    };
    const ranges = (...blocks: number[]) => blocks.map((block) => ({ start: block, end: block + 1 }));
    const newest = (): StateId => volume.states.at(-1)!.info.id;
    const read = async (state: StateId): Promise<Uint8Array | string> => {
      const reader = await copy.openState(state);
      try {
        return await readAll(reader);
      } catch (error) {
        return (error as StoreError).code;
      } finally {
        await reader.close();
      }
    };
    const scrub = (): Promise<ScrubReport> => copy.scrub({ signal: new AbortController().signal });

    it('goes on to the next state, of which it lacks nothing; the older one is told to lack what was in them', async () => {
      const first = newest();
      disk.bad.add(2).add(4);
      const second = await apply(random(2, 3, 9));
      expect([...disk.bad]).to.deep.equal([4]);
      disk.bad.clear();
      expect(await read(second)).to.deep.equal(volume.contentOf(second));
      expect(await read(first)).to.equal('damaged');
      const { damaged } = (await scrub()).increments;
      expect(damaged).to.deep.equal([{ state: first, blocks: ranges(2) }]);
    });

    it('finds them in a scrub, which makes digests where there are none', async () => {
      disk.bad.add(2).add(7);
      const found = await scrub();
      expect(found.digests).to.equal(hasDigests ? 'checked' : 'remade');
      expect(found.rotten).to.deep.equal([...ranges(2), ...ranges(7)]);
      expect(copy.status().suspects?.blocks).to.deep.equal(found.rotten);
      // What is written can be read again.
      await apply(random(2, 7));
      const again = await scrub();
      expect([again.rotten, again.unknown, copy.status().suspects]).to.deep.equal([[], [], null]);
    });

    it('never takes them for zeros, also where their digests are made or lost', async () => {
      const first = newest();
      disk.bad.add(2);
      if (hasDigests) files.contentOf(`${FOLDER}/digests`)[4096 + 2 * 8 + 1]! ^= 0x10;
      else expect((await scrub()).digests).to.equal('remade');
      await apply(random(2));
      expect(await read(first)).to.equal('damaged');
    });

    it('never takes them for what a set brings', async () => {
      const first = newest();
      disk.bad.add(2);
      await scrub();
      await apply(new Map([[2, new Uint8Array(BLOCK).fill(0xff)]]));
      expect(await read(first)).to.equal('damaged');
      const { damaged } = (await scrub()).increments;
      expect(damaged).to.deep.equal([{ state: first, blocks: ranges(2) }]);
    });

    it('is restored around them when asked to', async () => {
      disk.bad.add(2).add(5);
      await files.makeFolder('/out');
      const reader = await copy.openState(newest());
      const refused = await restoreState(reader, '/out/a', { files, force: false }).catch(
        (error: unknown) => error,
      );
      expect(refused).to.have.property('code', 'io');
      const { damaged } = await restoreState(reader, '/out/a', { files, force: false, damaged: 'keep' });
      await reader.close();
      expect(damaged).to.deep.equal([...ranges(2), ...ranges(5)]);
      const wanted = volume.contentOf(newest()).slice();
      for (const block of [2, 5]) wanted.fill(0, block * BLOCK, (block + 1) * BLOCK);
      expect(Buffer.compare(files.contentOf('/out/a'), wanted)).to.equal(0);
    });

    if (!hasDigests) return;

    it('loses nothing where the next state brings back what was in them', async () => {
      const first = newest();
      const was = volume.contentOf(first).slice(2 * BLOCK, 3 * BLOCK);
      disk.bad.add(2);
      const second = await apply(new Map([[2, was]]));
      for (const state of [first, second]) expect(await read(state)).to.deep.equal(volume.contentOf(state));
    });

    it('goes on where it is the digests that cannot be read, and makes those anew', async () => {
      const first = newest();
      ofDigests.bad.add(1);
      await files.makeFolder('/out');
      const reader = await copy.openState(first);
      const { damaged } = await restoreState(reader, '/out/a', { files, force: false, damaged: 'keep' });
      await reader.close();
      expect(damaged).to.deep.equal([]);
      expect(Buffer.compare(files.contentOf('/out/a'), volume.contentOf(first))).to.equal(0);
      expect((await scrub()).unknown).to.deep.equal([{ start: 0, end: 6 }]);
      const second = await apply(random(1, 2));
      await apply(random(1, 4, 5));
      expect([...ofDigests.bad]).to.deep.equal([]);
      expect(await read(first)).to.deep.equal(volume.contentOf(first));
      expect(await read(second)).to.deep.equal(volume.contentOf(second));
      await copy.trust(newest(), null);
      expect([(await scrub()).unknown, (await scrub()).rotten]).to.deep.equal([[], []]);
    });

    it('tells which blocks a parcel cannot refer to', async () => {
      const base = volume.contentOf(newest());
      const like = base.slice(3 * BLOCK, 4 * BLOCK).map((byte, i) => (i === 100 ? byte ^ 1 : byte));
      disk.bad.add(3);
      const set = volume.setOf([makeDelta(seeded, BLOCK, new Map([[9, like]]), { base, earlier: [] })]);
      const error = await send(copy, set, seeded).catch((cause: unknown) => cause);
      expect(error).to.have.property('code', 'reference-mismatch');
      const { unfit } = error as { unfit: { base: { start: number; count: number }[] }[] };
      expect(unfit.map(({ base: spans }) => spans)).to.deep.equal([[{ start: 3, count: 1 }]]);
      expect(copy.status().suspects?.blocks).to.deep.equal(ranges(3));
    });
  });
}
