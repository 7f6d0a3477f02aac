import { expect } from 'chai';
import { HotExtents, type Hold } from '../../../src/engine/hot-extents.js';
import { HotLog, readHotLog } from '../../../src/engine/hot-log.js';
import type { Files } from '../../../src/platform/files.js';
import { CrashFiles } from '../../support/crash-files.js';
import { Seeded, seedOfThisRun } from '../../support/seeded.js';

const UNIT = 1 << 20;
const FOLDER = '/state';
const INCARNATION = '0123456789abcdef';

interface Seen {
  /** Of the log. */
  syncs: number;
  broken: number;
  /** Awaited in each sync. */
  delay: Promise<void>;
}

/** The hot extents of a device of so many units, with their log on disks that remember what was not synced. */
class HotBench {
  private constructor(
    readonly files: CrashFiles,
    readonly hot: HotExtents,
    readonly seen: Seen,
  ) {}

  static async of(
    units: number,
    slots = 4096,
    onOperation: (files: CrashFiles) => void = () => undefined,
  ): Promise<HotBench> {
    let isMade = false;
    const files: CrashFiles = new CrashFiles({ onOperation: () => isMade && onOperation(files) });
    const seen: Seen = { syncs: 0, broken: 0, delay: Promise.resolve() };
    const open = files.open.bind(files);
    files.open = async (path, mode) => {
      const file = await open(path, mode);
      const sync = file.sync.bind(file);
      file.sync = async () => {
        seen.syncs++;
        await seen.delay;
        await sync();
      };
      return file;
    };
    await files.makeFolder(FOLDER);
    const geometry = { sizeBytes: units * UNIT, unitBytes: UNIT, slots };
    const log = await HotLog.create(files, FOLDER, INCARNATION, geometry);
    const onBroken = (): Promise<void> => {
      seen.broken++;
      return Promise.resolve();
    };
    seen.syncs = 0;
    isMade = true;
    return new HotBench(files, new HotExtents(geometry, log, onBroken, () => undefined), seen);
  }

  /** A write of 4 KiB in a unit; answers whether it had to wait. */
  async write(unit: number): Promise<boolean> {
    if (this.hot.touch(unit * UNIT, 4096)) return false;
    (await this.hot.hold(unit * UNIT, 4096)).release();
    return true;
  }

  async cool(during: () => Promise<unknown> = () => Promise.resolve()): Promise<void> {
    const cooling = this.hot.beginCooling();
    await during();
    await this.hot.endCooling(cooling);
  }

  get hotUnits(): number {
    return this.hot.ranges().reduce((sum, { start, end }) => sum + (end - start) / UNIT, 0);
  }
}

/** Is a unit in the log that these disks hold. */
async function logged(files: Files): Promise<(unit: number) => boolean> {
  const ranges = await readHotLog(files, FOLDER, [INCARNATION]);
  return (unit) =>
    ranges === null || ranges.some(({ start, end }) => start <= unit * UNIT && end > unit * UNIT);
}

describe('hot extents', function () {
  const soak = process.env['FARCOPY_SOAK'] === '1';
  this.timeout(soak ? 600_000 : 60_000);

  it('of random writes everywhere grow to the whole device, so that few writes wait', async () => {
    const bench = await HotBench.of(100 << 10);
    const seeded = new Seeded(seedOfThisRun());
    let waits = 0;
    for (let i = 0; i < 5000; i++) if (await bench.write(seeded.below(100 << 10))) waits++;
    expect(waits).to.be.at.most(70);
    expect(bench.hotUnits).to.equal(100 << 10);
    expect(bench.hot.entries).to.equal(1, 'those that lie in it have given their slots back');
  });

  it('asked for in one turn of the loop share one sync', async () => {
    const bench = await HotBench.of(100 << 10);
    const turns = Array.from({ length: 16 }, async (_, i) => {
      await new Promise((resolve) => setImmediate(resolve));
      return bench.write(i * 5000);
    });
    expect(await Promise.all(turns)).to.deep.equal(Array(16).fill(true));
    expect(bench.seen.syncs).to.equal(1);
  });

  it('of a copy grow ahead of it', async () => {
    const bench = await HotBench.of(100 << 10);
    let waits = 0;
    for (let unit = 0; unit < 4096; unit++) if (await bench.write(1000 + unit)) waits++;
    expect(waits).to.be.at.most(14);
    expect(bench.hotUnits).to.be.at.most(2 * 4096 + 16);
  });

  it('of writes that lie near each other grow there and nowhere else', async () => {
    const bench = await HotBench.of(100 << 10);
    for (let place = 0; place < 10; place++) {
      let waits = 0;
      for (let unit = 0; unit < 16; unit += 2) if (await bench.write(place * 8192 + unit)) waits++;
      expect(waits).to.equal(5);
    }
    expect(bench.hotUnits).to.equal(160);
    const seeded = new Seeded(seedOfThisRun());
    const other = await HotBench.of(100 << 10);
    for (let i = 0; i < 2000; i++) await other.write(20480 + seeded.below(4096));
    expect(other.hotUnits).to.be.at.most(4096);
  });

  it('are narrowed by a cooling to what was written while it went on, on disk first', async () => {
    const bench = await HotBench.of(100 << 10);
    for (let i = 0; i < 100; i++) await bench.write(i * 1000);
    expect(bench.hotUnits).to.equal(100 << 10);
    const written = Array.from({ length: 1200 }, (_, i) => 7 + i * 80);
    await bench.cool(async () => {
      for (const unit of written) expect(await bench.write(unit)).to.equal(false);
    });
    expect(bench.hotUnits).to.equal(1200);
    const isLogged = await logged(bench.files.powerCut(1));
    expect(written.every(isLogged)).to.equal(true);
    await bench.cool();
    expect(bench.hot.isEmpty).to.equal(true);
    expect(bench.hot.entries).to.equal(0);
  });

  it('stay as they are when more was written than the log has room for', async () => {
    const bench = await HotBench.of(100 << 10);
    for (let i = 0; i < 100; i++) await bench.write(i * 1000);
    await bench.cool(async () => {
      for (let i = 0; i < 2000; i++) await bench.write(i * 50);
    });
    expect(bench.hotUnits).to.equal(100 << 10);
    expect(bench.hot.entries).to.equal(1);
  });

  it('are not waited for while they are narrowed, and cover what is written then', async () => {
    const bench = await HotBench.of(100 << 10);
    for (let i = 0; i < 100; i++) await bench.write(i * 1000);
    let letGo = (): void => undefined;
    const cooling = bench.hot.beginCooling();
    await bench.write(5);
    bench.seen.delay = new Promise((resolve) => (letGo = resolve));
    const before = bench.seen.syncs;
    const ended = bench.hot.endCooling(cooling);
    const narrowing = { isOver: false };
    void ended.then(() => (narrowing.isOver = true));
    while (bench.seen.syncs === before && !narrowing.isOver)
      await new Promise((resolve) => setImmediate(resolve));
    for (const unit of [500, 501, 90_000]) expect(await bench.write(unit)).to.equal(false);
    letGo();
    await ended;
    const isLogged = await logged(bench.files.powerCut(2));
    expect([5, 500, 501, 90_000].map(isLogged)).to.deep.equal([true, true, true, true]);
    expect(bench.hotUnits).to.equal(4);
    expect(await bench.write(6000)).to.equal(true, 'it is cold now');
  });

  it('never fill their log, and never break it', async () => {
    const seeded = new Seeded(seedOfThisRun());
    for (const slots of [4, 16, 64]) {
      const bench = await HotBench.of(100 << 10, slots);
      for (let round = 0; round < 40; round++) {
        const places = Array.from({ length: 200 }, () => seeded.below(100 << 10));
        await Promise.all(places.map((unit) => bench.write(unit)));
        if (round % 3 === 0) {
          await bench.cool(() =>
            Promise.all(places.slice(0, 30).map((unit) => bench.write(unit + (unit > 0 ? -1 : 0)))),
          );
        }
      }
      expect(bench.seen.broken).to.equal(0);
    }
  });

  it('have in their log, at any power cut, all that was written since it was surely synced', async () => {
    const seed = seedOfThisRun();
    console.log(`      SEED=${seed}`);
    const seeded = new Seeded(seed);
    const units = 5000;
    let cuts = 0;
    for (let run = 0; run < (soak ? 1000 : 12); run++) {
      /** When a unit was last written; no entry: not since a sync of everything; Infinity: is being written. */
      const written = new Map<number, number>();
      let now = 0;
      const left: { readonly files: CrashFiles; readonly unsafe: readonly number[] }[] = [];
      const bench = await HotBench.of(units, seeded.pick([16, 128, 4096]), (files) => {
        if (seeded.chance(0.05)) left.push({ files: files.frozen(), unsafe: [...written.keys()] });
      });
      const holds = new Map<number, Hold>();
      const write = async (): Promise<void> => {
        const unit = seeded.chance(0.5) ? seeded.below(units) : seeded.below(40) + 1000 * seeded.below(3);
        const isHeld = seeded.chance(0.2);
        const hold = await bench.hot.hold(unit * UNIT, 4096);
        if (isHeld && !holds.has(unit)) {
          holds.set(unit, hold);
          written.set(unit, Infinity);
        } else {
          if (!holds.has(unit)) written.set(unit, ++now);
          hold.release();
        }
      };
      const cool = async (): Promise<void> => {
        const began = ++now;
        await bench.cool(async () => {
          await Promise.all([write(), write(), write()]);
          for (const [unit, at] of written) if (at < began) written.delete(unit);
        });
      };
      for (let step = 0; step < 25; step++) {
        const burst = Array.from({ length: seeded.pick([1, 4, 30]) }, write);
        if (seeded.chance(0.3)) await Promise.all([cool(), write(), write()]);
        await Promise.all(burst);
        if (seeded.chance(0.7)) continue;
        for (const [unit, hold] of holds) {
          written.set(unit, ++now);
          hold.release();
        }
        holds.clear();
      }
      for (const cut of left) {
        const isLogged = await logged(cut.files.powerCut(seeded.word()));
        for (const unit of cut.unsafe) expect(isLogged(unit), `unit ${unit}`).to.equal(true);
        cuts++;
      }
    }
    console.log(`      ${cuts} cuts`);
    expect(cuts).to.be.greaterThan(0);
  });
});
