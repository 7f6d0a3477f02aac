import { expect } from 'chai';
import { FileError, type File, type OpenMode } from '../../../src/platform/files.js';
import { Increment } from '../../../src/store/increment.js';
import { Store } from '../../../src/store/store.js';
import type { VolumeStore } from '../../../src/store/volume-store.js';
import { CrashError, CrashFiles } from '../../support/crash-files.js';
import { Seeded, seedOfThisRun } from '../../support/seeded.js';
import {
  expectPointsExact,
  MadeVolume,
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
const BLOCKS = 12;
const FOLDER = '/store/branch/ledger';
const POWER_CUTS = process.env['FARCOPY_SOAK'] === '1' ? 100 : 12;

/** Situations in which one order, or one sync, is all that stands between a crash and a wrong copy. */
describe('the orders of the store', () => {
  const seed = seedOfThisRun();
  let seeded: Seeded;
  let volume: MadeVolume;
  let stores: Store[];
  beforeEach(() => {
    seeded = new Seeded(seed);
    volume = new MadeVolume(seeded, BLOCK, BLOCKS);
    stores = [];
  });

  const open = async (files: CrashFiles): Promise<VolumeStore> => {
    const store = await Store.open({
      folder: '/store',
      files,
      clock: steppingClock(),
      random: new Seeded(seed + stores.length + 1),
    });
    stores.push(store);
    return store.volume('branch', 'ledger');
  };
  const blocksOf = (...indices: number[]): Blocks =>
    new Map(indices.map((index) => [index, seeded.bytes(BLOCK)]));
  const parcelOf = (...indices: number[]): MadeParcel => makeParcel(seeded, BLOCK, blocksOf(...indices));
  const sendParcel = async (copy: VolumeStore, { announcement, encoded }: MadeParcel): Promise<void> => {
    await copy.announce(announcement);
    await copy.append(announcement.id, 0, encoded);
  };
  /** The copy becomes exactly this set's state. */
  const expectApplied = async (files: CrashFiles, set: MadeSet): Promise<void> => {
    const copy = await open(files);
    expect(copy.status().fault).to.equal(undefined);
    await transfer(copy, set, seeded);
    const image = files.contentOf(`${FOLDER}/image`);
    expect(Buffer.compare(image, set.content), 'the image is its state').to.equal(0);
  };

  /** Does `work` on a copy of the disk once for each of its operations, stopping there, and looks at what may be left. */
  const atEachOperation = async (
    prepare: (copy: VolumeStore) => Promise<void>,
    work: (copy: VolumeStore) => Promise<void>,
    look: (left: CrashFiles) => Promise<void>,
  ): Promise<void> => {
    const rehearsal = new CrashFiles();
    const rehearsed = await open(rehearsal);
    await prepare(rehearsed);
    const from = rehearsal.log.length;
    await work(rehearsed);
    expect(rehearsal.log.length).to.be.greaterThan(from);
    for (let crashAt = from; crashAt < rehearsal.log.length; crashAt++) {
      const files = new CrashFiles({ crashAt });
      const copy = await open(files);
      await prepare(copy);
      await work(copy).catch((cause: unknown) => {
        if (!(cause instanceof CrashError)) throw cause;
      });
      const last = files.log.at(-1);
      for (let cut = 0; cut < POWER_CUTS; cut++) {
        await look(files.powerCut(seed + crashAt * 31 + cut)).catch((cause: unknown) => {
          const what = `power cut ${cut} at ${last?.kind ?? ''} ${last?.path ?? ''}`;
          throw new Error(`${what}: ${(cause as Error).message}`, { cause });
        });
      }
    }
  };

  it(`a forgotten parcel is gone before another takes its place in the image (SEED=${seed})`, async () => {
    const [unwanted, other] = [parcelOf(3, 4), parcelOf(3, 4)];
    const set = volume.setOf([unwanted]);
    await atEachOperation(
      async (copy) => {
        await copy.begin(set.offer);
        await sendParcel(copy, unwanted);
      },
      async (copy) => {
        await copy.forget(unwanted.announcement.id);
        await sendParcel(copy, other);
      },
      // The primary wants the first one after all.
      (left) => expectApplied(left, set),
    );
  });

  it(`a dropped first copy is gone before its blocks are (SEED=${seed})`, async () => {
    const set = volume.setOf([parcelOf(1, 2), parcelOf(7)]);
    await atEachOperation(
      (copy) => send(copy, set, new Seeded(1)),
      (copy) => copy.drop(),
      (left) => expectApplied(left, set),
    );
  });

  it(`a first copy begins with nothing, whatever a dropped one left (SEED=${seed})`, async () => {
    const [dropped, smaller] = [volume.setOf([parcelOf(0, 11)]), volume.setOf([parcelOf(2)], 4)];
    await atEachOperation(
      (copy) => send(copy, dropped, new Seeded(1)),
      (copy) => copy.drop(),
      (left) => expectApplied(left, smaller),
    );
  });

  it(`a commit whose mark may be on the disk is taken back there before parcels go (SEED=${seed})`, async () => {
    const first = volume.setOf([parcelOf(0, 1, 2)]);
    const held = new CrashFiles();
    await transfer(await open(held), first, seeded);
    volume.accept(first);
    const second = volume.setOf([parcelOf(3), parcelOf(4)]);
    const rehearsal = held.killed();
    const rehearsed = await open(rehearsal);
    await send(rehearsed, second, new Seeded(1));
    const from = rehearsal.log.length;
    await rehearsed.commit(second.order, second.digest);
    expect(rehearsal.log.length).to.be.greaterThan(from);
    for (let operation = from; operation < rehearsal.log.length; operation++) {
      const files = held.killed({ failAt: { operation, code: 'io' } });
      const copy = await open(files);
      await send(copy, second, new Seeded(1));
      const failure: unknown = await copy
        .commit(second.order, second.digest)
        .catch((cause: unknown) => cause);
      expect(failure).to.have.property('code', 'io');
      // The primary has another plan: the second parcel is not wanted any more.
      await copy.forget(second.order[1]!);
      const left = files.killed();
      const again = await open(left);
      expect(again.status().fault).to.equal(undefined);
      expect(again.status().state?.id).to.equal(first.offer.to.id);
      await expectApplied(left.killed(), second);
    }
  });

  it('a parcel that went bad on the disk since it was checked is noticed at the commit', async () => {
    const files = new CrashFiles();
    const copy = await open(files);
    const first = volume.setOf([parcelOf(0)]);
    await transfer(copy, first, seeded);
    volume.accept(first);
    const set = volume.setOf([parcelOf(1, 2), parcelOf(5)]);
    await send(copy, set, seeded);
    const path = `${FOLDER}/capture/${set.order[0]!}.parcel`;
    const content = files.contentOf(path);
    content[content.byteLength - 1] = (content.at(-1) as number) ^ 1;
    const failure: unknown = await copy.commit(set.order, set.digest).catch((cause: unknown) => cause);
    expect(failure).to.have.property('code', 'incomplete-capture');
    expect(copy.status().capture?.parcels.map(({ id }) => id)).to.deep.equal([set.order[1]]);
    await transfer(copy, set, seeded);
    volume.accept(set);
    await expectPointsExact(copy, volume);
  });

  it('a state that is opened while an apply is stuck half way is read around the new blocks', async () => {
    const files = new StubbornFiles();
    const copy = await open(files);
    for (const indices of [
      [0, 1, 2, 3],
      [2, 3],
    ]) {
      const set = volume.setOf([parcelOf(...indices)]);
      await transfer(copy, set, seeded);
      volume.accept(set);
    }
    const set = volume.setOf([parcelOf(1, 3, 9)]);
    await send(copy, set, seeded);
    await copy.commit(set.order, set.digest);
    files.refuses = (operation, path) => operation === 'sync' && path.endsWith('/image');
    const failure: unknown = await copy.apply().catch((cause: unknown) => cause);
    expect(failure).to.have.property('code', 'io');
    const image = files.contentOf(`${FOLDER}/image`);
    expect(Buffer.compare(image, set.content), 'the image is new already').to.equal(0);
    await expectPointsExact(copy, volume);
    // Removing points beside the stuck apply costs the readers nothing, nor the apply.
    const [newest, oldest] = copy.points();
    const reader = await copy.openState(newest!.state.id);
    await copy.removePoints(new Set([oldest!.state.id]));
    expect(Buffer.compare(await readAll(reader), volume.contentOf(newest!.state.id))).to.equal(0);
    await reader.close();
    files.refuses = () => false;
    await copy.apply();
    volume.accept(set);
    expect(await expectPointsExact(copy, volume)).to.equal(2);
  });

  it('a removal whose record cannot be written leaves one attempt on the disk, not one each time', async () => {
    const files = new StubbornFiles();
    const copy = await open(files);
    for (let i = 0; i < 4; i++) {
      const set = volume.makeSet();
      await transfer(copy, set, seeded);
      volume.accept(set);
    }
    const increments = (): number => files.paths(`${FOLDER}/increments`).length;
    const unwanted = new Set(
      copy
        .points()
        .slice(1, 3)
        .map(({ state }) => state.id),
    );
    files.refuses = (operation, path) => operation === 'rename' && path.endsWith('/volume.json');
    for (let i = 0; i < 5; i++) {
      const failure: unknown = await copy.removePoints(unwanted).catch((cause: unknown) => cause);
      expect(failure).to.have.property('code', 'io');
      expect(increments()).to.equal(4);
    }
    expect(await expectPointsExact(copy, volume)).to.equal(4);
    files.refuses = () => false;
    await copy.removePoints(unwanted);
    expect(increments()).to.equal(1);
    expect(await expectPointsExact(copy, volume)).to.equal(2);
  });

  it('a merged increment has no block past the end of the state it leads back to', async () => {
    const files = new CrashFiles();
    const copy = await open(files);
    const sizes = [4, 10, 12, 12];
    for (const [i, size] of sizes.entries()) {
      const set = volume.setOf([parcelOf(0, ...(i > 1 ? [2, 8, 9] : []))], size);
      await transfer(copy, set, seeded);
      volume.accept(set);
    }
    const [, , , oldest] = copy.points();
    const ids = copy.points().slice(1, 3);
    await copy.removePoints(new Set(ids.map(({ state }) => state.id)));
    const [path] = files.paths(`${FOLDER}/increments`);
    const increment = await Increment.open(files, path!, oldest!.state.id);
    expect((await increment.readTable()).endBlock).to.equal(3);
    await increment.close();
    await expectPointsExact(copy, volume);
  });
});

/** Files that refuse what they are told to, as a disk that is full or going bad does. */
class StubbornFiles extends CrashFiles {
  refuses: (operation: 'sync' | 'rename', path: string) => boolean = () => false;

  override async rename(from: string, to: string): Promise<void> {
    if (this.refuses('rename', to)) throw new FileError('io', to, `${to}: io`);
    return super.rename(from, to);
  }

  override async open(path: string, mode: OpenMode): Promise<File> {
    const file = await super.open(path, mode);
    const sync = file.sync.bind(file);
    file.sync = async () => {
      if (this.refuses('sync', path)) throw new FileError('io', path, `${path}: io`);
      return sync();
    };
    return file;
  }
}
