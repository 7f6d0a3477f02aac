import { expect } from 'chai';
import { byteCount, type StateId } from '../../../protocol/units.js';
import { planRemoval } from '../../../src/store/removal-plan.js';
import { Store } from '../../../src/store/store.js';
import type { PointRecord } from '../../../src/store/volume-record.js';
import type { VolumeStore } from '../../../src/store/volume-store.js';
import { CrashError, CrashFiles } from '../../support/crash-files.js';
import { chance } from '../../support/seeded-choices.js';
import { Seeded, seedOfThisRun } from '../../support/seeded.js';
import { expectPointsExact, MadeVolume, readAll, readSparse, steppingClock, transfer } from './made-sets.js';

const POWER_CUTS = process.env['FARCOPY_SOAK'] === '1' ? 40 : 3;
const ROUNDS = process.env['FARCOPY_SOAK'] === '1' ? 1000 : 40;

/** A copy with as many points as asked for, on files that may stop. */
class Copy {
  readonly volume: MadeVolume;
  readonly #random: Seeded;
  #processes = 0;
  #store: Store | null = null;
  #copy: VolumeStore | null = null;

  constructor(
    readonly seed: number,
    readonly blockSize = 512,
    blocks = 12,
  ) {
    this.#random = new Seeded(seed);
    this.volume = new MadeVolume(this.#random, blockSize, blocks);
  }

  async open(files: CrashFiles): Promise<VolumeStore> {
    const random = new Seeded(this.seed + 1_000_003 * ++this.#processes);
    this.#store = await Store.open({ folder: '/store', files, clock: steppingClock(), random });
    this.#copy = await this.#store.volume('branch', 'ledger');
    return this.#copy;
  }

  async fill(copy: VolumeStore, points: number): Promise<void> {
    for (let i = 0; i < points; i++) {
      const set = this.volume.makeSet();
      await transfer(copy, set, this.#random);
      this.volume.accept(set);
    }
  }

  state(ordinal: number): StateId {
    const state = this.volume.states[ordinal];
    if (state === undefined) throw new Error(`no state ${ordinal}`);
    return state.info.id;
  }

  states(...ordinals: readonly number[]): Set<StateId> {
    return new Set(ordinals.map((ordinal) => this.state(ordinal)));
  }

  close(): Promise<void> {
    return this.#store?.close() ?? Promise.resolve();
  }
}

const ordinals = (copy: VolumeStore): number[] => copy.points().map(({ state }) => state.ordinal);
const incrementsOf = (files: CrashFiles): string[] => files.paths('/store/branch/ledger/increments');

describe('removing restore points', () => {
  const seed = seedOfThisRun();

  it('is planned in steps: the oldest first, each gap as one, the newest never', () => {
    const points = [0, 1, 2, 3, 4, 5].map(
      (i) => ({ state: { id: `s${i}` }, increment: i === 5 ? null : `i${i}` }) as unknown as PointRecord,
    );
    const plan = (...ids: string[]): unknown =>
      planRemoval(points, new Set(ids as StateId[])).map(({ older, removed, newer }) => [
        older?.state.id ?? null,
        removed.map(({ state }) => state.id),
        newer,
      ]);
    expect(plan()).to.deep.equal([]);
    expect(plan('s5', 'sX')).to.deep.equal([]);
    expect(plan('s0', 's1')).to.deep.equal([[null, ['s0', 's1'], 's2']]);
    expect(plan('s4', 's0', 's2')).to.deep.equal([
      [null, ['s0'], 's1'],
      ['s1', ['s2'], 's3'],
      ['s3', ['s4'], 's5'],
    ]);
    expect(plan('s1', 's2', 's3')).to.deep.equal([['s0', ['s1', 's2', 's3'], 's4']]);
  });

  it('leaves every other state as it was, its files gone, over a restart too', async () => {
    const files = new CrashFiles();
    const made = new Copy(seed);
    let copy = await made.open(files);
    await made.fill(copy, 8);
    const removed = await copy.removePoints(made.states(0, 2, 3, 6, 7));
    expect(removed.map(({ state }) => state.ordinal)).to.deep.equal([0, 2, 3, 6]);
    expect(ordinals(copy)).to.deep.equal([7, 5, 4, 1]);
    expect(incrementsOf(files)).to.have.length(3);
    await expectPointsExact(copy, made.volume);
    await made.close();
    copy = await made.open(files);
    expect(ordinals(copy)).to.deep.equal([7, 5, 4, 1]);
    await expectPointsExact(copy, made.volume);
    await made.fill(copy, 2);
    await copy.removePoints(made.states(...[1, 4, 5, 7, 8]));
    expect(ordinals(copy)).to.deep.equal([9]);
    expect(incrementsOf(files)).to.have.length(0);
    await expectPointsExact(copy, made.volume);
    await made.close();
  });

  it('leaves open readers their state, and the files they need until they close', async () => {
    const files = new CrashFiles();
    const made = new Copy(seed + 1);
    const copy = await made.open(files);
    await made.fill(copy, 5);
    const readers = await Promise.all([0, 2].map((ordinal) => copy.openState(made.state(ordinal))));
    // A point that is open stays one; those between go, and their increments with the last reader.
    await copy.removePoints(made.states(0, 1, 2, 3));
    expect(ordinals(copy)).to.deep.equal([4, 2, 0]);
    await made.fill(copy, 2);
    await copy.removePoints(made.states(4, 5));
    expect(ordinals(copy)).to.deep.equal([6, 2, 0]);
    expect(incrementsOf(files).length).to.be.greaterThan(2);
    for (const reader of readers) {
      const wanted = made.volume.contentOf(reader.state.id);
      for (const found of [await readAll(reader), await readSparse(reader)]) {
        expect(Buffer.compare(found, wanted), `state ${reader.state.ordinal}`).to.equal(0);
      }
      await reader.close();
    }
    expect(incrementsOf(files)).to.have.length(2);
    await expectPointsExact(copy, made.volume);
    await copy.removePoints(made.states(0, 2));
    expect(incrementsOf(files)).to.have.length(0);
    await made.close();
  });

  it('keeps nothing past the end of an older, smaller state', async () => {
    const files = new CrashFiles();
    const made = new Copy(seed + 2, 512, 4);
    const copy = await made.open(files);
    await made.fill(copy, 2);
    for (let i = 0; i < 3; i++) {
      const set = made.volume.makeSet();
      const size = byteCount(set.content.byteLength + 512 * 8);
      const content = new Uint8Array(size);
      content.set(set.content);
      const grown = { ...set, content, offer: { ...set.offer, to: { ...set.offer.to, size } } };
      await transfer(copy, grown, new Seeded(seed));
      made.volume.accept(grown);
    }
    await copy.removePoints(made.states(2, 3));
    await expectPointsExact(copy, made.volume);
    await made.close();
  });

  it('goes on past a damaged increment, tells of it, and loses no other point', async () => {
    const files = new CrashFiles();
    const made = new Copy(seed + 3, 512, 32);
    const copy = await made.open(files);
    while (incrementsOf(files).length < 8) await made.fill(copy, 1);
    await made.close();
    const left = files.killed();
    const again = await made.open(left);
    const damaged = left.contentOf(`/store/branch/ledger/increments/${await nameOf(left, 1)}`);
    damaged[damaged.byteLength - 1] = (damaged.at(-1) as number) ^ 1;
    const failure: unknown = await again.removePoints(made.states(2, 4, 6)).catch((cause: unknown) => cause);
    expect(failure).to.have.property('code', 'damaged');
    expect(ordinals(again)).to.include.members([2, 1, 0]).and.not.include(4).and.not.include(6);
    // The oldest can go all the same, and the damage with them.
    await again.removePoints(made.states(0, 1, 2));
    await expectPointsExact(again, made.volume);
    await made.close();
  });

  it('stops when told to, and leaves nothing half done', async () => {
    const files = new CrashFiles();
    const made = new Copy(seed + 4);
    const copy = await made.open(files);
    await made.fill(copy, 6);
    const stop = new AbortController();
    const removing = copy.removePoints(made.states(1, 2, 4), stop.signal);
    stop.abort(new Error('enough'));
    expect(await removing.catch((cause: unknown) => String(cause))).to.equal('Error: enough');
    await expectPointsExact(copy, made.volume);
    const closing = copy
      .removePoints(made.states(1, 2, 4))
      .catch((cause: unknown) => (cause as { code?: string }).code);
    await made.close();
    expect(await closing).to.equal('closed');
    await expectPointsExact(await made.open(files), made.volume);
    expect(incrementsOf(files)).to.have.length(5);
    await made.close();
  });

  it('reads through any number of increments with a bounded number of files open', async () => {
    const files = new CountingFiles();
    const made = new Copy(seed + 5, 512, 40);
    const copy = await made.open(files);
    await made.fill(copy, 300);
    files.mostOpen = files.openNow;
    const reader = await copy.openState(made.state(0));
    const found = await readAll(reader);
    expect(Buffer.compare(found, made.volume.contentOf(reader.state.id))).to.equal(0);
    expect(files.mostOpen).to.be.lessThan(80);
    await reader.close();
    await copy.removePoints(made.states(...Array.from({ length: 298 }, (_, i) => i + 1)));
    expect(files.mostOpen).to.be.lessThan(80);
    expect(incrementsOf(files)).to.have.length(1);
    await expectPointsExact(copy, made.volume);
    await made.close();
    expect(files.openNow).to.equal(0);
  });

  it(`beside a model: random removals, applies, readers and restarts (SEED=${seed})`, async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const seeded = new Seeded(seed + 100 + round);
      const files = new CrashFiles();
      const made = new Copy(seed + 100 + round, 512, 1 + seeded.below(20));
      let copy = await made.open(files);
      await made.fill(copy, 2 + seeded.below(6));
      for (let i = 0; i < 4; i++) {
        const known = copy.points().map(({ state }) => state);
        const readers = await Promise.all(
          known.filter(() => chance(seeded, 0.3)).map((state) => copy.openState(state.id)),
        );
        const kept = new Set(readers.map((reader) => reader.state.id));
        const unwanted = new Set(known.map(({ id }) => id).filter(() => chance(seeded, 0.5)));
        const wanted = known
          .filter(({ id }, at) => at === 0 || kept.has(id) || !unwanted.has(id))
          .map(({ ordinal }) => ordinal);
        // An apply beside the removal.
        const before = made.volume.states.length;
        await Promise.all([copy.removePoints(unwanted), made.fill(copy, 1)]);
        expect(ordinals(copy), `round ${round}`).to.deep.equal([before, ...wanted]);
        for (const reader of readers) {
          const content = await readAll(reader);
          expect(Buffer.compare(content, made.volume.contentOf(reader.state.id))).to.equal(0);
          await reader.close();
        }
        await expectPointsExact(copy, made.volume);
        expect(incrementsOf(files), 'no file too many').to.have.length(copy.points().length - 1);
        if (chance(seeded, 0.3)) {
          await made.close();
          copy = await made.open(files);
        }
      }
      await made.close();
    }
  }).timeout(120_000);
});

describe('a removal that stops at any operation', () => {
  const seed = seedOfThisRun();
  const UNWANTED = [0, 2, 3, 5];
  const LEFT = [6, 4, 1];

  /** Six points made without trouble, then their removal on a disk that stops. */
  async function prepared(): Promise<{ made: Copy; files: CrashFiles }> {
    const made = new Copy(seed);
    const files = new CrashFiles();
    await made.fill(await made.open(files), 7);
    await made.close();
    return { made, files };
  }
  const removeAll = async (made: Copy, files: CrashFiles): Promise<void> => {
    const copy = await made.open(files);
    await copy.removePoints(made.states(...UNWANTED));
    await made.close();
  };

  /** Every point that is listed reads as it was, those to be kept are listed, and the removal can be done again. */
  async function expectGood(made: Copy, left: CrashFiles): Promise<void> {
    const copy = await made.open(left);
    expect(copy.status().fault).to.equal(undefined);
    await expectPointsExact(copy, made.volume);
    expect(ordinals(copy)).to.include.members(LEFT);
    expect(incrementsOf(left), 'no file too many').to.have.length(copy.points().length - 1);
    await copy.removePoints(made.states(...UNWANTED));
    expect(ordinals(copy)).to.deep.equal(LEFT);
    await expectPointsExact(copy, made.volume);
    expect(incrementsOf(left)).to.have.length(LEFT.length - 1);
    await made.close();
  }

  async function eachOperation(work: (at: number) => Promise<string>): Promise<void> {
    const { made, files } = await prepared();
    const whole = files.killed();
    await removeAll(made, whole);
    const operations = whole.log.length;
    expect(operations).to.be.greaterThan(20);
    for (let at = 0; at < operations; at++) await work(at);
  }

  for (const ending of ['killed', 'power'] as const) {
    it(`loses nothing (${ending}, SEED=${seed})`, async () => {
      await eachOperation(async (crashAt) => {
        const { made, files } = await prepared();
        const stopping = files.killed({ crashAt });
        await removeAll(made, stopping).catch((cause: unknown) => {
          if (!(cause instanceof CrashError)) throw cause;
        });
        const last = stopping.log.at(-1);
        const what = `${ending} at ${crashAt}: ${last?.kind ?? ''} ${last?.path ?? ''}`;
        for (let cut = 0; cut < (ending === 'power' ? POWER_CUTS : 1); cut++) {
          const left =
            ending === 'power' ? stopping.powerCut(seed + cut * 7919 + crashAt) : stopping.killed();
          await expectGood(made, left).catch((cause: unknown) => {
            throw new Error(`${what}: ${(cause as Error).message}`, { cause });
          });
        }
        return what;
      });
    }).timeout(120_000);
  }

  it(`fails one operation, tells it, and gets on when tried again (SEED=${seed})`, async () => {
    await eachOperation(async (operation) => {
      const { made, files } = await prepared();
      const code = operation % 2 === 0 ? 'no-space' : 'io';
      const failing = files.killed({ failAt: { operation, code } });
      const what = `${code} at ${operation}`;
      const copy = await made.open(failing).catch(() => made.open(failing));
      const failure: unknown = await copy
        .removePoints(made.states(...UNWANTED))
        .catch((cause: unknown) => cause);
      if (failure instanceof Error) expect(failure).to.have.property('code', code);
      await expectPointsExact(copy, made.volume);
      // In the same process, and with an apply between; then in another one.
      await made.fill(copy, 1);
      await copy.removePoints(made.states(...UNWANTED));
      expect(ordinals(copy), what).to.deep.equal([7, ...LEFT]);
      await expectPointsExact(copy, made.volume);
      await made.close();
      const again = await made.open(failing.killed());
      await expectPointsExact(again, made.volume);
      await made.close();
      return what;
    });
  }).timeout(120_000);
});

/** Counts the files of increments that are open. */
class CountingFiles extends CrashFiles {
  openNow = 0;
  mostOpen = 0;

  override async open(...args: Parameters<CrashFiles['open']>): ReturnType<CrashFiles['open']> {
    const file = await super.open(...args);
    if (!args[0].includes('/increments/')) return file;
    this.mostOpen = Math.max(this.mostOpen, ++this.openNow);
    const close = file.close.bind(file);
    file.close = () => {
      this.openNow--;
      return close();
    };
    return file;
  }
}

/** The increment that leads back to the state of this ordinal. */
async function nameOf(files: CrashFiles, ordinal: number): Promise<string> {
  const text = Buffer.from(await files.readWhole('/store/branch/ledger/volume.json', 1 << 20)).toString();
  const record = JSON.parse(text.slice(0, text.lastIndexOf('crc32'))) as {
    points: { state: { ordinal: number }; increment: string | null }[];
  };
  return record.points.find(({ state }) => state.ordinal === ordinal)?.increment ?? '';
}
