import { expect } from 'chai';
import type { Range } from '../../../protocol/ranges.js';
import { RangeSet } from '../../../protocol/ranges.js';
import type { ParcelId } from '../../../protocol/units.js';
import { Store } from '../../../src/store/store.js';
import type { VolumeStore } from '../../../src/store/volume-store.js';
import { CrashError, CrashFiles } from '../../support/crash-files.js';
import { Seeded, seedOfThisRun } from '../../support/seeded.js';
import {
  expectPointsExact,
  expectScrubbedClean,
  MadeVolume,
  makeParcel,
  send,
  steppingClock,
  type MadeSet,
} from './made-sets.js';

const POWER_CUTS = process.env['FARCOPY_SOAK'] === '1' ? 40 : 3;

/** What was promised before the end. */
interface Promised {
  readonly held: Map<ParcelId, RangeSet>;
  durable: MadeSet | null;
  sending: MadeSet | null;
}

/** One machine after the other on the disk the one before left, all with one volume and a fixed plan of sets. */
class Plan {
  readonly volume: MadeVolume;
  readonly sets: MadeSet[] = [];
  readonly #dropped: MadeSet;
  #processes = 0;

  constructor(readonly seed: number) {
    this.volume = new MadeVolume(new Seeded(seed), 1024, 12);
    for (let i = 0; i < 4; i++) {
      const set = this.volume.makeSet();
      this.sets.push(set);
      this.volume.accept(set);
    }
    const first = this.sets[0] as MadeSet;
    const parcel = makeParcel(new Seeded(seed + 7), 1024, new Map([[3, new Seeded(seed + 8).bytes(1024)]]));
    this.#dropped = {
      ...first,
      offer: { ...first.offer, to: { ...first.offer.to, id: parcelAsState(parcel.announcement.id) } },
      parcels: [parcel],
    };
  }

  open(files: CrashFiles): Promise<Store> {
    // Each process draws other ids.
    const random = new Seeded(this.seed + 1_000_003 * ++this.#processes);
    return Store.open({ folder: '/store', files, clock: steppingClock(), random });
  }

  /** Brings the store to the end of the plan from wherever it is. */
  async run(files: CrashFiles, promised: Promised, withDrop = true): Promise<void> {
    const store = await this.open(files);
    const copy = await store.volume('branch', 'ledger');
    if (withDrop && copy.status().state === null && copy.status().capture === null) {
      await send(copy, this.#dropped, new Seeded(this.seed));
      await copy.drop();
    }
    for (const set of this.#ahead(copy)) {
      promised.sending = set;
      await send(copy, set, new Seeded(this.seed + 1), (id, start, end) => {
        const held = promised.held.get(id) ?? new RangeSet();
        held.add(start, end);
        promised.held.set(id, held);
      });
      await copy.commit(set.order, set.digest);
      promised.durable = set;
      await copy.apply();
      promised.held.clear();
      promised.sending = null;
    }
    await store.close();
  }

  #ahead(copy: VolumeStore): MadeSet[] {
    const at = copy.status().state?.id;
    return this.sets.slice(at === undefined ? 0 : this.sets.findIndex((set) => set.offer.to.id === at) + 1);
  }
}

const parcelAsState = (id: ParcelId): never => id as unknown as never;

async function runUntilCrash(plan: Plan, files: CrashFiles): Promise<Promised> {
  const promised: Promised = { held: new Map(), durable: null, sending: null };
  try {
    await plan.run(files, promised);
  } catch (cause) {
    if (!(cause instanceof CrashError)) throw cause;
  }
  return promised;
}

/** Opens what is left, checks it, and finishes the plan on it. */
async function expectGood(plan: Plan, left: CrashFiles, promised: Promised, power: boolean): Promise<void> {
  const store = await plan.open(left);
  const copy = await store.volume('branch', 'ledger');
  expect(copy.status().fault).to.equal(undefined);
  await expectPointsExact(copy, plan.volume);
  const { state, capture } = copy.status();
  if (state !== null) {
    const image = left.contentOf('/store/branch/ledger/image');
    expect(Buffer.compare(image, plan.volume.contentOf(state.id)), 'the image is its state').to.equal(0);
    await expectScrubbedClean(copy);
  }
  if (promised.durable !== null) {
    expect(
      copy.points().map((point) => point.state.id),
      'a durable set is applied',
    ).to.include(promised.durable.offer.to.id);
  }
  if (!power && promised.sending !== null && state?.id !== promised.sending.offer.to.id) {
    for (const [id, held] of promised.held) {
      const found = capture?.parcels.find((parcel) => parcel.id === id)?.held ?? [];
      expect(lost(held.ranges, found), 'acknowledged bytes that are lost').to.deep.equal([]);
    }
  }
  await store.close();

  await plan.run(left, { held: new Map(), durable: null, sending: null }, false);
  const end = await plan.open(left);
  const finished = await end.volume('branch', 'ledger');
  expect(await expectPointsExact(finished, plan.volume)).to.equal(plan.sets.length);
  await expectScrubbedClean(finished);
  await end.close();
  const wanted = ['image', 'digests', 'volume.json'].length + plan.sets.length - 1;
  expect(left.paths('/store/branch/ledger').length, 'nothing is left behind').to.equal(wanted);
}

function lost(acknowledged: readonly Range[], found: readonly Range[]): Range[] {
  const held = new RangeSet(found);
  return acknowledged.flatMap(({ start, end }) => held.gaps(start, end));
}

async function countOperations(plan: Plan): Promise<number> {
  const files = new CrashFiles();
  await runUntilCrash(plan, files);
  return files.log.length;
}

describe('a store that stops at any operation', () => {
  const seed = seedOfThisRun();

  it(`goes on as it was after the process was killed (SEED=${seed})`, async () => {
    const plan = new Plan(seed);
    const operations = await countOperations(plan);
    for (let crashAt = 0; crashAt < operations; crashAt++) {
      const files = new CrashFiles({ crashAt });
      const promised = await runUntilCrash(plan, files);
      await attempt(`killed at operation ${crashAt}, ${describeOperation(files)}`, () =>
        expectGood(plan, files.killed(), promised, false),
      );
    }
  }).timeout(120_000);

  it(`is one state exactly after a power cut (SEED=${seed})`, async () => {
    const plan = new Plan(seed + 1);
    const operations = await countOperations(plan);
    for (let crashAt = 0; crashAt < operations; crashAt++) {
      const files = new CrashFiles({ crashAt });
      const promised = await runUntilCrash(plan, files);
      for (let cut = 0; cut < POWER_CUTS; cut++) {
        await attempt(`power cut ${cut} at operation ${crashAt}, ${describeOperation(files)}`, () =>
          expectGood(plan, files.powerCut(seed + cut * 7919 + crashAt), promised, true),
        );
      }
    }
  }).timeout(600_000);

  it(`stops again while it recovers, and still recovers (SEED=${seed})`, async () => {
    const plan = new Plan(seed + 2);
    const operations = await countOperations(plan);
    const seeded = new Seeded(seed);
    for (let i = 0; i < 150; i++) {
      const first = new CrashFiles({ crashAt: seeded.below(operations) });
      const promised = await runUntilCrash(plan, first);
      const second = first.killed({ crashAt: seeded.below(60) });
      const later = await runUntilCrash(plan, second);
      const durable = later.durable ?? promised.durable;
      await attempt(`twice, ${describeOperation(first)}, then ${describeOperation(second)}`, () =>
        expectGood(plan, second.powerCut(seed + i), { ...later, durable }, true),
      );
    }
  }).timeout(120_000);

  it(`fails one operation, tells it, and gets on when tried again (SEED=${seed})`, async () => {
    const plan = new Plan(seed + 3);
    const operations = await countOperations(plan);
    for (let operation = 0; operation < operations; operation++) {
      const code = operation % 2 === 0 ? 'no-space' : 'io';
      const files = new CrashFiles({ failAt: { operation, code } });
      const promised: Promised = { held: new Map(), durable: null, sending: null };
      await attempt(`${code} at operation ${operation}`, async () => {
        await plan.run(files, promised).catch((cause: unknown) => {
          expect(cause).to.have.property('code', code);
        });
        // What the failure left must also be good if the process ends there.
        await expectGood(plan, files.killed(), { ...promised, held: new Map() }, false);
      });
    }
  }).timeout(120_000);
});

const describeOperation = (files: CrashFiles): string => {
  const last = files.log.at(-1);
  return `${last?.kind ?? 'none'} ${last?.path ?? ''}`;
};

async function attempt(what: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (cause) {
    throw new Error(`${what}: ${(cause as Error).message}`, { cause });
  }
}
