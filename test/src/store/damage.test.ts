import { expect } from 'chai';
import { byteCount } from '../../../protocol/units.js';
import { StoreError } from '../../../src/store/errors.js';
import { Store } from '../../../src/store/store.js';
import { CrashFiles } from '../../support/crash-files.js';
import { Seeded, seedOfThisRun } from '../../support/seeded.js';
import { MadeVolume, readAll, send, steppingClock, transfer } from './made-sets.js';

const FLIPS = process.env['FARCOPY_SOAK'] === '1' ? 400 : 25;

describe('a store whose files were damaged', () => {
  const seed = seedOfThisRun();
  const FOLDER = '/store/branch/ledger';

  /** A copy with three points, and a set that is `collecting` or `durable`. */
  async function made(durable: boolean): Promise<{ files: CrashFiles; volume: MadeVolume }> {
    const files = new CrashFiles();
    const seeded = new Seeded(seed);
    const volume = new MadeVolume(seeded, 512, 32);
    const store = await Store.open({ folder: '/store', files, clock: steppingClock(), random: seeded });
    const copy = await store.volume('branch', 'ledger');
    for (let i = 0; i < 3; i++) {
      const set = volume.makeSet();
      await transfer(copy, set, seeded);
      volume.accept(set);
    }
    const last = volume.makeSet();
    await send(copy, last, seeded);
    if (durable) await copy.commit(last.order, last.digest);
    volume.accept(last);
    return { files, volume };
  }

  /** Opens and reads everything: what is served must be right, the rest must be told as `damaged`. */
  async function outcome(files: CrashFiles, volume: MadeVolume): Promise<'well' | 'told'> {
    const store = await Store.open({
      folder: '/store',
      files,
      clock: steppingClock(),
      random: new Seeded(1),
    });
    try {
      const copy = await store.volume('branch', 'ledger');
      let told = copy.status().fault !== undefined;
      for (const { state } of copy.points()) {
        const reader = await copy.openState(state.id);
        try {
          const content = await readAll(reader);
          expect(Buffer.compare(content, volume.contentOf(state.id)), `state ${state.ordinal}`).to.equal(0);
        } catch (cause) {
          if (!(cause instanceof StoreError)) throw cause;
          expect(cause.code).to.equal('damaged');
          told = true;
        } finally {
          await reader.close();
        }
      }
      return told ? 'told' : 'well';
    } catch (cause) {
      if (!(cause instanceof StoreError)) throw cause;
      expect(cause.code).to.equal('damaged');
      expect(store.volumes()[0]?.fault).to.be.a('string');
      return 'told';
    } finally {
      await store.close();
    }
  }

  for (const durable of [false, true]) {
    it(`tells of every flipped bit that matters, with a ${durable ? 'durable' : 'collecting'} set (SEED=${seed})`, async () => {
      const { files, volume } = await made(durable);
      const seeded = new Seeded(seed + 1);
      const told = new Map<string, number>();
      for (const path of files.paths(FOLDER)) {
        for (let i = 0; i < FLIPS; i++) {
          const left = files.killed();
          const content = left.contentOf(path);
          const at = seeded.below(content.byteLength);
          content[at] = (content[at] as number) ^ (1 << seeded.below(8));
          const kind = path.slice(FOLDER.length + 1).replace(/[0-9a-f]{32}/, 'ID');
          if ((await outcome(left, volume)) === 'told') told.set(kind, (told.get(kind) ?? 0) + 1);
        }
      }
      expect(told.get('volume.json'), 'volume.json').to.equal(FLIPS);
      // What the durable set brings back as it was is healed by it.
      expect(told.get('image'), 'image').to.be.within(durable ? 1 : FLIPS, FLIPS);
      expect(told.get('capture/capture.json'), 'capture.json').to.equal(FLIPS);
      expect(told.get('increments/ID'), 'increments').to.be.greaterThan(0);
      if (durable) expect(told.get('capture/ID.parcel'), 'parcels').to.be.greaterThan(0);
    });
  }

  it('tells of files that are missing or cut short', async () => {
    const { files, volume } = await made(true);
    for (const path of files.paths(FOLDER)) {
      const without = files.killed();
      await without.remove(path);
      const kind = path.slice(FOLDER.length + 1).replace(/[0-9a-f]{32}/, 'ID');
      // Without its record a capture is not there: its state was promised, so the primary will offer it again.
      // Without digests nothing is checked; a scrub makes them again, and says so.
      const harmless = kind === 'capture/capture.json' || kind === 'digests';
      expect(await outcome(without, volume), `without ${kind}`).to.equal(harmless ? 'well' : 'told');
      const short = files.killed();
      const file = await short.open(path, 'read-write');
      await file.truncate((await file.size()) - 1);
      await file.close();
      const isHarmless = kind === 'digests';
      expect(await outcome(short, volume), `${kind} cut short`).to.equal(isHarmless ? 'well' : 'told');
    }
  });

  it('takes a damaged parcel again after any failure of the disk while its bytes are dropped', async () => {
    // Found by review: the log was closed and still counted as whole; nothing asked for the parcel again before a restart.
    for (let operation = 0; ; operation++) {
      const failing = { operation: Infinity, code: 'io' as const };
      const files = new CrashFiles({ failAt: failing });
      const seeded = new Seeded(7);
      const volume = new MadeVolume(seeded, 512, 8);
      const store = await Store.open({ folder: '/store', files, clock: steppingClock(), random: seeded });
      const copy = await store.volume('branch', 'ledger');
      const set = volume.makeSet();
      await copy.begin(set.offer);
      for (const { announcement } of set.parcels) await copy.announce(announcement);
      const { announcement, encoded } = set.parcels[0]!;
      const damaged = Uint8Array.from(encoded);
      damaged[damaged.length - 1]! ^= 0x40;
      failing.operation = files.log.length + operation;
      const failed = await copy.append(announcement.id, 0, damaged).then(
        () => 'none',
        (error: unknown) => (error as StoreError).code,
      );
      failing.operation = Infinity;
      expect(copy.parcel(announcement.id)?.held, `operation ${operation}`).to.deep.equal([]);
      for (const parcel of set.parcels) await copy.append(parcel.announcement.id, 0, parcel.encoded);
      await copy.commit(set.order, set.digest);
      await copy.apply();
      volume.accept(set);
      expect(await outcome(files.killed(), volume)).to.equal('well');
      await store.close();
      if (failed === 'io') continue;
      expect([failed, operation > 2]).to.deep.equal(['bad-parcel', true]);
      break;
    }
  });

  it('takes a parcel that was encoded anew after any failure of the disk while it is announced', async () => {
    for (let operation = 0; ; operation++) {
      const failing = { operation: Infinity, code: 'io' as const };
      const files = new CrashFiles({ failAt: failing });
      const seeded = new Seeded(8);
      const volume = new MadeVolume(seeded, 512, 8);
      const store = await Store.open({ folder: '/store', files, clock: steppingClock(), random: seeded });
      const copy = await store.volume('branch', 'ledger');
      const set = volume.makeSet();
      await copy.begin(set.offer);
      const { announcement } = set.parcels[0]!;
      await copy.announce({ ...announcement, length: byteCount(announcement.length + 1) });
      failing.operation = files.log.length + operation;
      const failed = await copy.announce(announcement).then(
        () => 'none',
        (error: unknown) => (error as StoreError).code,
      );
      failing.operation = Infinity;
      expect(copy.parcel(announcement.id)?.held, `operation ${operation}`).to.deep.equal([]);
      await transfer(copy, set, seeded);
      volume.accept(set);
      expect(await outcome(files.killed(), volume)).to.equal('well');
      await store.close();
      if (failed === 'io') continue;
      expect([failed, operation > 2]).to.deep.equal(['none', true]);
      break;
    }
  });

  it('sends a decoded parcel that went bad again, and keeps the other volumes open', async () => {
    const { files, volume } = await made(false);
    const left = files.killed();
    const path = left.paths(`${FOLDER}/capture`).find((each) => each.endsWith('.parcel')) as string;
    const content = left.contentOf(path);
    content[content.byteLength - 1] = (content.at(-1) as number) ^ 1;
    const seeded = new Seeded(2);
    const store = await Store.open({ folder: '/store', files: left, clock: steppingClock(), random: seeded });
    const other = new MadeVolume(seeded, 512, 4);
    await transfer(await store.volume('ship', 'log'), other.makeSet(), seeded);
    const copy = await store.volume('branch', 'ledger');
    expect(copy.status().capture?.durable).to.equal(false);
    expect(volume.states.length).to.equal(4);
    await store.close();

    const record = left.contentOf(`${FOLDER}/volume.json`);
    record[10] = (record[10] as number) ^ 1;
    const again = await Store.open({ folder: '/store', files: left, clock: steppingClock(), random: seeded });
    expect(again.volumes().map(({ volume: name, fault }) => [name, fault !== undefined])).to.deep.equal([
      ['ledger', true],
      ['log', false],
    ]);
    await again.close();
  });
});
