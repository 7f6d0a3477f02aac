import { expect } from 'chai';
import { byteCount, parcelId, stateId, volumeId } from '../../../protocol/units.js';
import { MAX_PARCEL_ENCODED } from '../../../protocol/parcel/parcel.js';
import type { File, OpenMode } from '../../../src/platform/files.js';
import { Store } from '../../../src/store/store.js';
import type { VolumeStore } from '../../../src/store/volume-store.js';
import { MemoryFiles } from '../../support/memory-files.js';
import { Seeded } from '../../support/seeded.js';
import {
  digestOf,
  expectPointsExact,
  MadeVolume,
  makeParcel,
  readAll,
  send,
  steppingClock,
  transfer,
  type Blocks,
  type MadeSet,
} from './made-sets.js';

const SEED = 20_11;
const BLOCK = 4096;

describe('a volume in the store', () => {
  let files: MemoryFiles;
  let store: Store;
  let copy: VolumeStore;
  let volume: MadeVolume;
  const seeded = new Seeded(SEED);

  const open = (): Promise<Store> =>
    Store.open({ folder: '/store', files, clock: steppingClock(), random: seeded });
  const reopen = async (): Promise<void> => {
    await store.close();
    store = await open();
    copy = await store.volume('branch', 'ledger');
  };
  beforeEach(async () => {
    files = new MemoryFiles();
    volume = new MadeVolume(seeded, BLOCK, 8);
    store = await open();
    copy = await store.volume('branch', 'ledger');
  });
  afterEach(() => store.close());

  const codeOf = async (work: Promise<unknown>): Promise<string> =>
    work.then(
      () => 'none',
      (error: unknown) => (error as { code?: string }).code ?? String(error),
    );
  const blocksOf = (...indices: number[]): Blocks =>
    new Map(indices.map((index) => [index, seeded.bytes(BLOCK)]));
  /** A set of the given parcels, in that order, after the volume's last state. */
  const setOf = (...parcels: Blocks[]): MadeSet => {
    const plain = volume.makeSet();
    const base = volume.states.at(-1)?.content ?? new Uint8Array(8 * BLOCK);
    const content = Uint8Array.from(base);
    const all = new Map(parcels.flatMap((blocks) => [...blocks]));
    for (const [index, block] of all) content.set(block ?? new Uint8Array(BLOCK), index * BLOCK);
    const made = parcels.map((blocks) => makeParcel(seeded, BLOCK, blocks));
    return {
      offer: { ...plain.offer, to: { ...plain.offer.to, size: byteCount(content.byteLength) } },
      parcels: made,
      order: made.map(({ announcement }) => announcement.id),
      digest: digestOf(all),
      content,
    };
  };
  const applied = async (set: MadeSet): Promise<MadeSet> => {
    await transfer(copy, set, seeded);
    volume.accept(set);
    return set;
  };
  const imageOf = (): Uint8Array => files.contentOf('/store/branch/ledger/image');

  it('is nothing on the disk before its first set', () => {
    expect(copy.status()).to.deep.include({ volumeId: null, state: null, capture: null });
    expect(copy.points()).to.deep.equal([]);
    expect(store.volumes()).to.deep.equal([]);
    expect(files.paths()).to.deep.equal(['/store/lock']);
  });

  it('shows a point for every set, newest first, an empty one too', async () => {
    await applied(setOf(blocksOf(0, 5)));
    await applied(setOf(blocksOf(1, 2, 3)));
    await applied(setOf());
    expect(copy.points().map(({ blocks }) => blocks)).to.deep.equal([0, 3, 2]);
    expect(copy.points()[0]?.state).to.deep.equal(copy.status().state);
    await reopen();
    expect(await expectPointsExact(copy, volume)).to.equal(3);
  });

  it('fills a first copy in place, with nothing of an unfinished one left', async () => {
    await send(copy, setOf(blocksOf(0, 1, 7)), seeded);
    expect(
      imageOf()
        .subarray(0, BLOCK)
        .some((byte) => byte !== 0),
    ).to.equal(true);
    expect(copy.status().state).to.equal(null);
    expect(copy.points()).to.deep.equal([]);
    await copy.drop();
    expect(imageOf().byteLength).to.equal(0);
    await applied(setOf(blocksOf(3)));
    await expectPointsExact(copy, volume);
  });

  it('leaves no block in a first copy of a parcel that was forgotten', async () => {
    const set = setOf(blocksOf(2, 3));
    await send(copy, set, seeded);
    const unwanted = makeParcel(seeded, BLOCK, blocksOf(3, 4, 5));
    const placed = makeParcel(seeded, BLOCK, blocksOf(6));
    for (const parcel of [unwanted, placed]) {
      await copy.announce(parcel.announcement);
      await copy.append(parcel.announcement.id, 0, parcel.encoded);
    }
    await copy.forget(placed.announcement.id);
    await copy.commit(set.order, set.digest);
    await copy.apply();
    volume.accept(set);
    await expectPointsExact(copy, volume);
  });

  it('lets the last parcel in the order of COMMIT win, whatever the order of arrival', async () => {
    for (const first of [true, false]) {
      const blocks = [blocksOf(1, 2, 3), blocksOf(2, 3, 4), new Map([[3, null]])];
      const set = setOf(...blocks);
      await copy.begin(set.offer);
      for (const parcel of first ? set.parcels : set.parcels.toReversed()) {
        await copy.announce(parcel.announcement);
        await copy.append(parcel.announcement.id, 0, parcel.encoded);
      }
      expect(await codeOf(copy.commit(set.order.toReversed(), set.digest))).to.equal('digest-mismatch');
      await copy.commit(set.order, set.digest);
      await copy.apply();
      volume.accept(set);
      await expectPointsExact(copy, volume);
    }
  });

  it('holds what arrived over a restart, in any order, and does not ask for it again', async () => {
    const set = setOf(blocksOf(0, 1), blocksOf(4));
    const [first, second] = set.parcels as [MadeSet['parcels'][0], MadeSet['parcels'][0]];
    await copy.begin(set.offer);
    await copy.announce(first.announcement);
    await copy.announce(second.announcement);
    await copy.append(first.announcement.id, 100, first.encoded.subarray(100, 300));
    await copy.append(first.announcement.id, 200, first.encoded.subarray(200, 350));
    await copy.append(second.announcement.id, 0, second.encoded);
    const held = copy.status().capture;
    await reopen();
    await copy.begin(set.offer);
    expect(copy.status().capture).to.deep.equal(held);
    expect(held?.parcels.map((parcel) => parcel.held)).to.deep.equal([
      [{ start: 100, end: 350 }],
      [{ start: 0, end: second.announcement.length }],
    ]);
    await applied(set);
    await expectPointsExact(copy, volume);
  });

  it('counts only intact segments after a torn log', async () => {
    const set = setOf(blocksOf(0, 1));
    const { announcement, encoded } = set.parcels[0] as MadeSet['parcels'][0];
    await copy.begin(set.offer);
    await copy.announce(announcement);
    await copy.append(announcement.id, 0, encoded.subarray(0, 1000));
    await copy.append(announcement.id, 1000, encoded.subarray(1000, 2000));
    await copy.append(announcement.id, 2000, encoded.subarray(2000, 3000));
    const log = files.contentOf(`/store/branch/ledger/capture/${announcement.id}.segments`);
    const record = 16 + 1000;
    for (const at of [96 + 500, 96 + record + 500]) log[at] = (log[at] as number) ^ 1;
    await reopen();
    expect(copy.status().capture?.parcels[0]?.held).to.deep.equal([{ start: 2000, end: 3000 }]);
    await applied(set);
  });

  it('drops the bytes of a parcel that is not what was announced', async () => {
    const set = setOf(blocksOf(0), blocksOf(1));
    await copy.begin(set.offer);
    const [good, other] = set.parcels as [MadeSet['parcels'][0], MadeSet['parcels'][0]];
    const wrongDigest = { ...good.announcement, digest: other.announcement.digest };
    await copy.announce(wrongDigest);
    expect(await codeOf(copy.append(wrongDigest.id, 0, good.encoded))).to.equal('bad-parcel');
    expect(copy.status().capture?.parcels.map(({ held }) => held)).to.deep.equal([[]]);
    await applied(set);
    await expectPointsExact(copy, volume);
  });

  it('refuses parcels of another block size, past the end, of no length, too long, or announced twice', async () => {
    const set = setOf(blocksOf(0));
    await copy.begin(set.offer);
    for (const parcel of [
      makeParcel(seeded, 512, new Map([[0, seeded.bytes(512)]])),
      makeParcel(seeded, BLOCK, blocksOf(8)),
      makeParcel(seeded, BLOCK, new Map([[8, null]])),
    ]) {
      await copy.announce(parcel.announcement);
      expect(await codeOf(copy.append(parcel.announcement.id, 0, parcel.encoded))).to.equal('bad-parcel');
    }
    const { announcement } = set.parcels[0] as MadeSet['parcels'][0];
    for (const length of [0, MAX_PARCEL_ENCODED + 1]) {
      expect(await codeOf(copy.announce({ ...announcement, length: byteCount(length) }))).to.equal(
        'bad-parcel',
      );
    }
    await copy.announce(announcement);
    await copy.announce(announcement);
    const longer = { ...announcement, length: byteCount(announcement.length + 1) };
    // While nothing is held of it, it may have been encoded anew.
    await copy.announce(longer);
    await copy.announce(announcement);
    await copy.append(announcement.id, 0, new Uint8Array(1));
    expect(await codeOf(copy.announce(longer))).to.equal('bad-parcel');
    expect(await codeOf(copy.append(announcement.id, announcement.length - 1, new Uint8Array(2)))).to.equal(
      'bad-parcel',
    );
    expect(await codeOf(copy.append(parcelId('f'.repeat(32)), 0, new Uint8Array(2)))).to.equal('no-capture');
  });

  it('refuses a commit of what is not whole, or of another digest, and keeps what it holds', async () => {
    const set = setOf(blocksOf(0), blocksOf(1));
    await copy.begin(set.offer);
    for (const { announcement } of set.parcels) await copy.announce(announcement);
    expect(await codeOf(copy.commit(set.order, set.digest))).to.equal('incomplete-capture');
    expect(await codeOf(copy.apply())).to.equal('incomplete-capture');
    await send(copy, set, seeded);
    expect(await codeOf(copy.commit(set.order, new Uint8Array(32)))).to.equal('digest-mismatch');
    await copy.commit(set.order, set.digest);
    await copy.commit(set.order, set.digest);
    expect(await codeOf(copy.commit([], set.digest))).to.equal('digest-mismatch');
    await copy.drop();
    expect(copy.status().capture?.durable).to.equal(true);
    await copy.apply();
    expect(await codeOf(copy.apply())).to.equal('no-capture');
  });

  it('applies a durable set before it begins another, and at opening', async () => {
    await applied(setOf(blocksOf(0)));
    const second = setOf(blocksOf(1));
    await send(copy, second, seeded);
    await copy.commit(second.order, second.digest);
    volume.accept(second);
    const third = setOf(blocksOf(2));
    await send(copy, third, seeded);
    expect(copy.status().state?.id).to.equal(second.offer.to.id);
    await copy.commit(third.order, third.digest);
    volume.accept(third);
    await reopen();
    expect(copy.status()).to.deep.include({ state: third.offer.to, capture: null });
    await expectPointsExact(copy, volume);
  });

  it('refuses what does not belong to it, with a hint, and changes nothing', async () => {
    const set = await applied(setOf(blocksOf(0)));
    const held = setOf(blocksOf(1));
    await send(copy, held, seeded);
    const before = copy.status();
    const { offer } = setOf(blocksOf(2));
    const refusals = {
      'other-volume': { ...offer, volumeId: volumeId('a'.repeat(32)) },
      'base-mismatch': { ...offer, from: stateId('b'.repeat(32)) },
      'geometry-mismatch': { ...offer, to: { ...offer.to, size: byteCount(BLOCK) } },
    };
    for (const [code, refused] of Object.entries(refusals)) {
      const error: unknown = await copy.begin(refused).catch((cause: unknown) => cause);
      expect(error).to.deep.include({ code });
      expect((error as { hint?: string }).hint).to.be.a('string');
    }
    expect(await codeOf(copy.begin({ ...offer, from: null }))).to.equal('base-mismatch');
    expect(await codeOf(copy.begin({ ...offer, to: set.offer.to }))).to.equal('base-mismatch');
    expect(await codeOf(copy.begin({ ...offer, blockSize: 512 }))).to.equal('geometry-mismatch');
    const odd = { ...offer.to, size: byteCount(9 * BLOCK + 1) };
    expect(await codeOf(copy.begin({ ...offer, to: odd }))).to.equal('geometry-mismatch');
    expect(copy.status()).to.deep.equal(before);
  });

  it('grows with its volume', async () => {
    await applied(setOf(blocksOf(0)));
    const set = setOf(blocksOf(1));
    const size = byteCount(20 * BLOCK);
    const content = new Uint8Array(size);
    content.set(set.content);
    await applied({ ...set, content, offer: { ...set.offer, to: { ...set.offer.to, size } } });
    await applied(setOf(blocksOf(19)));
    await expectPointsExact(copy, volume);
  });

  it('keeps a reader on its state through later applies, parts of blocks too', async () => {
    const first = await applied(setOf(blocksOf(0, 1, 2)));
    const reader = await copy.openState(first.offer.to.id);
    await applied(setOf(blocksOf(1), new Map([[2, null]])));
    await applied(setOf(blocksOf(1, 2, 3)));
    expect(Buffer.compare(await readAll(reader), first.content)).to.equal(0);
    const part = new Uint8Array(BLOCK);
    await reader.read(part, BLOCK + 17);
    expect(Buffer.compare(part, first.content.subarray(BLOCK + 17, 2 * BLOCK + 17))).to.equal(0);
    expect(await codeOf(reader.read(part, first.content.byteLength - 1))).to.match(/outside/);
    await reader.close();
    expect(await codeOf(reader.read(part, 0))).to.equal('closed');
    expect(await codeOf(copy.openState(stateId('c'.repeat(32))))).to.equal('unknown-point');
  });

  it('reads again when an apply overtakes a read of the image', async () => {
    await store.close();
    const slow = new SlowReadFiles();
    files = slow;
    store = await open();
    copy = await store.volume('branch', 'ledger');
    const first = await applied(setOf(blocksOf(0, 1, 2)));
    const reader = await copy.openState(first.offer.to.id);
    const release = slow.holdNextRead();
    const reading = readAll(reader);
    await slow.held;
    await applied(setOf(blocksOf(0, 1, 2)));
    release();
    expect(Buffer.compare(await reading, first.content)).to.equal(0);
    await reader.close();
  });

  it('keeps volumes and primaries apart', async () => {
    const names = [
      ['branch', 'ledger'],
      ['branch', 'mail'],
      ['ship', 'ledger'],
    ] as const;
    const volumes = names.map(() => new MadeVolume(seeded, BLOCK, 8));
    for (let round = 0; round < 3; round++) {
      await Promise.all(
        names.map(async ([primary, name], i) => {
          const made = volumes[i] as MadeVolume;
          const set = made.makeSet();
          await transfer(await store.volume(primary, name), set, seeded);
          made.accept(set);
        }),
      );
    }
    await reopen();
    expect(store.volumes().map(({ primary, volume: name }) => [primary, name])).to.deep.equal(names);
    for (const [i, [primary, name]] of names.entries()) {
      expect(await expectPointsExact(await store.volume(primary, name), volumes[i] as MadeVolume)).to.equal(
        3,
      );
    }
  });

  it('refuses names that lead elsewhere', async () => {
    for (const name of ['', '.', '..', '../x', 'a/b', 'a\\b', '.hidden', 'a\0b', 'lock', 'x'.repeat(129)]) {
      expect(await codeOf(store.volume('branch', name)), name).to.equal('bad-name');
      expect(await codeOf(store.volume(name, 'ledger')), name).to.equal('bad-name');
    }
    await store.volume('Büro 7', 'die Kasse');
  });

  it('is open once', async () => {
    expect(await codeOf(open())).to.equal('in-use');
    await store.close();
    expect(await codeOf(copy.begin(setOf(blocksOf(0)).offer))).to.equal('closed');
    expect(await codeOf(store.volume('branch', 'ledger'))).to.equal('closed');
    store = await open();
  });
});

/** Holds back one read of the image until it is released. */
class SlowReadFiles extends MemoryFiles {
  held: Promise<void> = Promise.resolve();
  #hold: (() => Promise<void>) | null = null;

  holdNextRead(): () => void {
    let release = (): void => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    this.held = new Promise((reached) => {
      this.#hold = () => {
        reached();
        return released;
      };
    });
    return release;
  }

  override async open(path: string, mode: OpenMode): Promise<File> {
    const file = await super.open(path, mode);
    if (!path.endsWith('/image')) return file;
    const read = file.read.bind(file);
    file.read = async (into, position) => {
      const hold = this.#hold;
      this.#hold = null;
      await hold?.();
      return read(into, position);
    };
    return file;
  }
}
