import { expect } from 'chai';
import type { ParcelId } from '../../../protocol/units.js';
import { Store } from '../../../src/store/store.js';
import type { SetOffer, VolumeStore } from '../../../src/store/volume-store.js';
import { CrashError, CrashFiles } from '../../support/crash-files.js';
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
const BLOCKS = 12;
const FOLDER = '/store/branch/ledger';
const POWER_CUTS = process.env['FARCOPY_SOAK'] === '1' ? 60 : 4;

/** A set on its way, and the one that it is turned to: its first parcels, and what makes them right. */
class TurnedSet {
  readonly volume: MadeVolume;
  readonly first: MadeSet | null;
  readonly given: MadeSet;
  readonly wanted: MadeSet;
  readonly kept: readonly MadeParcel[];
  /** Bytes of the last parcel that is kept, which is not whole at the turn. */
  readonly half: number;
  #processes = 0;

  /** `isFirstCopy`: there is no state at the backup; parcels are then written to their places at once. */
  constructor(
    readonly seed: number,
    isFirstCopy: boolean,
  ) {
    const seeded = new Seeded(seed);
    this.volume = new MadeVolume(seeded, BLOCK, BLOCKS);
    this.first = isFirstCopy ? null : this.volume.makeSet();
    if (this.first !== null) this.volume.accept(this.first);
    const base = this.first?.content ?? null;
    const blocksOf = (...indices: number[]): Blocks =>
      new Map(indices.map((index) => [index, seeded.bytes(BLOCK)]));
    const plain = makeParcel(seeded, BLOCK, blocksOf(0, 1, 2));
    const likePlain = new Map([...plain.blocks].map(([index, block]) => [index + 3, block] as const));
    const delta = makeDelta(seeded, BLOCK, likePlain, { base, earlier: [plain] });
    const half = makeParcel(seeded, BLOCK, blocksOf(6, 7));
    const dropped = makeParcel(seeded, BLOCK, blocksOf(8, 9));
    this.given = this.volume.setOf([plain, delta, half, dropped], BLOCKS);
    this.kept = [plain, delta, half];
    this.half = Math.floor(half.encoded.byteLength / 2);
    // One block of a kept parcel anew, one as it was in the base, one of the dropped parcel, and one behind the old end.
    const asBefore = base?.slice(4 * BLOCK, 5 * BLOCK) ?? new Uint8Array(BLOCK);
    const later = new Map([...blocksOf(1, 8, BLOCKS), [4, asBefore] as const]);
    this.wanted = this.volume.setOf(
      [...this.kept, makeDelta(seeded, BLOCK, later, { base, earlier: [plain, delta] })],
      BLOCKS + 2,
    );
  }

  async open(files: CrashFiles): Promise<{ readonly store: Store; readonly copy: VolumeStore }> {
    const random = new Seeded(this.seed + 1_000_003 * ++this.#processes);
    const store = await Store.open({ folder: '/store', files, clock: steppingClock(), random });
    return { store, copy: await store.volume('branch', 'ledger') };
  }

  /** The first state is there, and most of the given set. */
  async prepare(copy: VolumeStore): Promise<void> {
    if (this.first !== null) await transfer(copy, this.first, new Seeded(this.seed));
    await copy.begin(this.given.offer);
    for (const parcel of this.given.parcels) {
      await copy.announce(parcel.announcement);
      const end = parcel === this.kept.at(-1) ? this.half : parcel.encoded.byteLength;
      await copy.append(parcel.announcement.id, 0, parcel.encoded.subarray(0, end));
    }
  }

  /** What a primary does that wants the newer state, wherever the copy is. */
  async turn(copy: VolumeStore): Promise<void> {
    const { state, capture } = copy.status();
    if (state?.id === this.wanted.offer.to.id) return;
    if (capture?.offer.to.id === this.given.offer.to.id && !capture.durable) {
      const held = new Set(capture.parcels.map(({ id }) => id));
      const keep = this.kept.map(({ announcement }) => announcement.id).filter((id) => held.has(id));
      await copy.turn(this.wanted.offer, keep);
    }
    await transfer(copy, this.wanted, new Seeded(this.seed + 1));
  }
}

/** What is left is one of the sets, and either can be made of it. */
async function expectGood(turned: TurnedSet, left: CrashFiles, isKilled: boolean): Promise<void> {
  const { given, wanted } = turned;
  const { store, copy } = await turned.open(left);
  const { state, capture, fault } = copy.status();
  expect(fault).to.equal(undefined);
  const isOver = state?.id === wanted.offer.to.id;
  if (isOver) turned.volume.accept(wanted);
  try {
    await expectPointsExact(copy, turned.volume);
    if (!isOver && capture !== null) expectOneSet(turned, capture, isKilled);
    if (isKilled && !isOver) expect(capture, 'the set').to.not.equal(null);
    await store.close();
    await expectBecomes(turned, left.killed(), wanted, (to) => turned.turn(to));
    // The primary knows nothing of the turn, or has lost the newer state before it was told to anybody.
    if (!isOver && capture?.durable !== true) {
      await expectBecomes(turned, left.killed(), given, (to) => transfer(to, given, new Seeded(turned.seed)));
    }
  } finally {
    if (isOver) turned.volume.states.pop();
  }
}

interface FoundCapture {
  readonly offer: SetOffer;
  readonly parcels: readonly { readonly id: ParcelId; readonly held: readonly { readonly end: number }[] }[];
}

function expectOneSet(
  { given, wanted, kept, half }: TurnedSet,
  capture: FoundCapture,
  isKilled: boolean,
): void {
  const isTurned = capture.offer.to.id === wanted.offer.to.id;
  const { order } = isTurned ? wanted : given;
  expect(capture.offer.to).to.deep.equal((isTurned ? wanted : given).offer.to);
  const found = capture.parcels.map(({ id }) => id);
  expect(order, isTurned ? 'parcels of the newer set alone' : 'parcels of the given set').to.include.members(
    found,
  );
  if (!isKilled) return;
  for (const { announcement, encoded } of kept) {
    const parcel = capture.parcels.find(({ id }) => id === announcement.id);
    const wants = announcement.id === kept.at(-1)?.announcement.id ? half : encoded.byteLength;
    expect(parcel?.held.at(-1)?.end, 'what had arrived of a kept parcel').to.be.at.least(wants);
  }
}

async function expectBecomes(
  turned: TurnedSet,
  files: CrashFiles,
  set: MadeSet,
  work: (copy: VolumeStore) => Promise<unknown>,
): Promise<void> {
  const { store, copy } = await turned.open(files);
  await work(copy);
  const image = files.contentOf(`${FOLDER}/image`);
  const { byteLength } = set.content;
  expect(Buffer.compare(image.subarray(0, byteLength), set.content), 'the image is the state').to.equal(0);
  // A turn to a larger state that was not finished may have made a first copy's image longer.
  expect(
    image.subarray(byteLength).every((byte) => byte === 0),
    'zeros behind the state',
  ).to.equal(true);
  turned.volume.accept(set);
  const points = await expectPointsExact(copy, turned.volume);
  turned.volume.states.pop();
  expect(points).to.equal(turned.first === null ? 1 : 2);
  await store.close();
}

describe('a set that is turned to a newer state', () => {
  const seed = seedOfThisRun();

  for (const [what, isFirstCopy] of [
    ['a set of changes', false],
    ['a first copy', true],
  ] as const) {
    it(`${what}: the process is killed, or the power cut, at any operation (SEED=${seed})`, async () => {
      const turned = new TurnedSet(seed, isFirstCopy);
      const rehearsal = new CrashFiles();
      const { copy: rehearsed } = await turned.open(rehearsal);
      await turned.prepare(rehearsed);
      const from = rehearsal.log.length;
      await turned.turn(rehearsed);
      expect(rehearsal.log.length).to.be.greaterThan(from + 20);
      for (let crashAt = from; crashAt < rehearsal.log.length; crashAt++) {
        const files = new CrashFiles({ crashAt });
        const { copy } = await turned.open(files);
        await turned.prepare(copy);
        await turned.turn(copy).catch((cause: unknown) => {
          if (!(cause instanceof CrashError)) throw cause;
        });
        const last = files.log.at(-1);
        const at = `at operation ${crashAt - from}, ${last?.kind ?? ''} ${last?.path ?? ''}`;
        await attempt(`killed ${at}`, () => expectGood(turned, files.killed(), true));
        for (let cut = 0; cut < POWER_CUTS; cut++) {
          const left = files.powerCut(seed + crashAt * 31 + cut);
          await attempt(`power cut ${cut} ${at}`, () => expectGood(turned, left, false));
        }
      }
    }).timeout(240_000);

    it(`${what}: an operation fails, and it is turned when tried again (SEED=${seed})`, async () => {
      const turned = new TurnedSet(seed + 1, isFirstCopy);
      const held = new CrashFiles();
      const { store, copy: prepared } = await turned.open(held);
      await turned.prepare(prepared);
      await store.close();
      const rehearsal = held.killed();
      await turned.turn((await turned.open(rehearsal)).copy);
      for (let operation = 0; operation < rehearsal.log.length; operation++) {
        const code = operation % 2 === 0 ? 'no-space' : 'io';
        const files = held.killed({ failAt: { operation, code } });
        await attempt(`${code} at operation ${operation}`, async () => {
          const { copy } = await turned.open(files);
          await turned.turn(copy).catch((cause: unknown) => {
            expect(cause).to.have.property('code', code);
          });
          await attempt('left as it is', () => expectGood(turned, files.killed(), true));
          // The same process goes on.
          await turned.turn(copy);
          expect(copy.status().state?.id).to.equal(turned.wanted.offer.to.id);
        });
      }
    }).timeout(120_000);
  }
});

async function attempt(what: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (cause) {
    throw new Error(`${what}: ${(cause as Error).message}`, { cause });
  }
}
