import { expect } from 'chai';
import fc from 'fast-check';
import { crc32 } from 'node:zlib';
import { stateId, volumeId, wallTime, byteCount } from '../../../protocol/units.js';
import type { StateInfo } from '../../../protocol/state.js';
import { Bitmap } from '../../../src/engine/bitmap.js';
import { BlockLock, type Held } from '../../../src/engine/block-lock.js';
import { Budget } from '../../../src/engine/budget.js';
import {
  answerableStates,
  droppable,
  epochsOfSet,
  firstEpochs,
  isForgettable,
  mergeable,
  nameStart,
  prepareEpoch,
  withPin,
  withoutPin,
} from '../../../src/engine/epoch-list.js';
import { NO_SLOT, SlotTable } from '../../../src/engine/slot-table.js';
import { readEpochs, writeRecord, type EpochsRecord } from '../../../src/engine/volume-record.js';
import { crcOfWords } from '../../../src/engine/word-crc.js';
import { isZero } from '../../../src/engine/zero.js';
import { seededRandom } from './engine-bench.js';

describe('a bitmap', () => {
  it('answers as a plain set does', () => {
    const { seed } = seededRandom('bitmap');
    const limit = 100_000;
    const ranges = fc.array(
      fc.tuple(fc.nat(limit - 1), fc.oneof(fc.nat(20), fc.nat(70_000))).map(([start, length]) => ({
        start,
        end: Math.min(limit, start + length),
      })),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(ranges, fc.array(fc.nat(limit), { maxLength: 50 }), (added, probes) => {
        const bitmap = new Bitmap(limit);
        const model = new Uint8Array(limit + 1);
        for (const { start, end } of added) {
          bitmap.add(start, end);
          model.fill(1, start, end);
        }
        expect(bitmap.count).to.equal(model.reduce((sum, bit) => sum + bit, 0));
        for (const from of probes) {
          const [set, clear] = [model.indexOf(1, from), model.subarray(0, limit).indexOf(0, from)];
          expect(bitmap.nextSet(from, limit)).to.equal(set < 0 ? limit : set);
          expect(bitmap.nextClear(from, limit)).to.equal(clear < 0 ? Math.max(limit, from) : clear);
          if (from < limit) expect(bitmap.has(from)).to.equal(model[from] === 1);
        }
      }),
      { seed, numRuns: 200 },
    );
  });

  it('works at the far end of 2^32 blocks', () => {
    const bitmap = new Bitmap(2 ** 32);
    bitmap.add(2 ** 32 - 3, 2 ** 32);
    expect(bitmap.count).to.equal(3);
    expect(bitmap.has(2 ** 32 - 1)).to.equal(true);
    expect(bitmap.has(2 ** 32 - 4)).to.equal(false);
    expect(bitmap.nextSet(5, 2 ** 32)).to.equal(2 ** 32 - 3);
    expect(bitmap.nextClear(2 ** 32 - 2, 2 ** 32)).to.equal(2 ** 32);
  });
});

describe('a slot table', () => {
  it('answers as a plain map does', () => {
    const { seed } = seededRandom('slot table');
    const entries = fc.array(
      fc.tuple(fc.oneof(fc.nat(50), fc.nat(2 ** 31 - 1), fc.constant(2 ** 32 - 1)), fc.nat()),
      { maxLength: 5000 },
    );
    fc.assert(
      fc.property(entries, (added) => {
        const table = new SlotTable();
        const model = new Map<number, number>();
        for (const [block, slot] of added) {
          table.set(block, slot);
          model.set(block, slot);
        }
        expect(table.size).to.equal(model.size);
        for (const [block, slot] of model) expect(table.get(block)).to.equal(slot);
        for (let block = 0; block < 50; block++)
          expect(table.get(block)).to.equal(model.get(block) ?? NO_SLOT);
      }),
      { seed, numRuns: 30 },
    );
  });
});

describe('the block lock', () => {
  const isAdmitted = async (entering: Promise<unknown>): Promise<boolean> =>
    Promise.race([
      entering.then(() => true),
      new Promise<boolean>((resolve) => setImmediate(resolve, false)),
    ]);

  it('admits what does not overlap, and the rest in the order they came', async () => {
    const lock = new BlockLock(() => 1);
    const first = await lock.enter(0, 10);
    const second = lock.enter(5, 15);
    const third = lock.enter(12, 20);
    const fourth = lock.enter(30, 31);
    expect(await isAdmitted(fourth)).to.equal(true);
    expect(await isAdmitted(second)).to.equal(false);
    expect(await isAdmitted(third)).to.equal(false, 'the third overlaps the second, which waits');
    first.leave();
    expect(await isAdmitted(second)).to.equal(true);
    expect(await isAdmitted(third)).to.equal(false);
    (await second).leave();
    expect(await isAdmitted(third)).to.equal(true);
    expect(lock.isBusy(20, 30)).to.equal(false);
    expect(lock.isBusy(19, 20)).to.equal(true);
  });

  it('a write belongs to the epoch of the tick in which it is admitted', async () => {
    let epoch = 1;
    const lock = new BlockLock(() => epoch);
    const first = await lock.enter(0, 10);
    const waiting = lock.enter(5, 6);
    const finished = lock.finished(1);
    epoch = 2;
    expect(await isAdmitted(finished)).to.equal(false);
    first.leave();
    epoch = 3;
    await finished;
    expect((await waiting).epoch).to.equal(2);
  });

  it('never lets two overlapping ones in, and starves none', async () => {
    const random = seededRandom('block lock');
    const lock = new BlockLock(() => 0);
    const inside: { start: number; end: number; held: Held<number> }[] = [];
    let waiting = 0;
    for (let i = 0; i < 2000; i++) {
      const start = random.below(50);
      const end = start + 1 + random.below(10);
      waiting++;
      void lock.enter(start, end).then((held) => {
        waiting--;
        for (const other of inside) expect(other.start < end && start < other.end).to.equal(false);
        inside.push({ start, end, held });
      });
      if (random.below(3) > 0) await Promise.resolve();
      if (inside.length > 0 && random.below(2) === 0) {
        inside.splice(random.below(inside.length), 1)[0]?.held.leave();
      }
    }
    while (waiting > 0 || inside.length > 0) {
      await new Promise((resolve) => setImmediate(resolve));
      inside.shift()?.held.leave();
    }
    await lock.idle();
  });
});

describe('the list of epochs', () => {
  const state = (ordinal: number): StateInfo => ({
    id: stateId(ordinal.toString(16).padStart(32, '0')),
    parent: null,
    ordinal,
    time: wallTime(0),
    grade: 'crash',
    size: byteCount(4096),
  });
  const sealed = (record: EpochsRecord, pinAs: readonly string[] = []): EpochsRecord => {
    const next = prepareEpoch(record);
    return nameStart(next, record.nextEpoch, state(record.nextOrdinal), pinAs);
  };
  const always = (): boolean => true;
  const fresh = firstEpochs(volumeId('0'.repeat(32)));

  it('drops what lies before the earliest pin, and keeps the last state', () => {
    let record = sealed(sealed(sealed(fresh, ['vault'])), ['travel']);
    expect(record.epochs.map((epoch) => epoch.number)).to.deep.equal([0, 1, 2, 3]);
    expect([...droppable(record)]).to.deep.equal([0]);
    record = withoutPin(record, 'vault');
    expect([...droppable(record)]).to.deep.equal([0, 1, 2]);
    record = withoutPin(record, 'travel');
    expect([...droppable(record)]).to.deep.equal([0, 1, 2]);
  });

  it('keeps the named start behind a boundary that never got its state', () => {
    const record = prepareEpoch(sealed(fresh));
    expect([...droppable(record)]).to.deep.equal([0]);
    expect(answerableStates(record).map(({ ordinal }) => ordinal)).to.deep.equal([0]);
    expect([...droppable(prepareEpoch(fresh))]).to.deep.equal([0]);
  });

  it('merges neighbours whose boundary nobody pins, never the open epoch, never unsettled ones', () => {
    const record = sealed(sealed(sealed(sealed(fresh, ['vault']), []), ['travel']), []);
    expect(mergeable(record, always)).to.deep.equal([1, 2]);
    expect(mergeable(record, (number) => number !== 2)).to.equal(null);
    expect(isForgettable(record, 3)).to.equal(false);
    expect(isForgettable(withoutPin(record, 'travel'), 3)).to.equal(true);
    expect(isForgettable(record, 4)).to.equal(false, 'the last state');
    expect(mergeable(sealed(fresh, ['vault']), always)).to.deep.equal(null);
  });

  it('refuses unknown states and sets that run backwards', () => {
    const record = sealed(sealed(fresh, ['vault']));
    expect(epochsOfSet(record, { from: state(0).id, to: state(1).id })).to.deep.include({ from: 1, to: 2 });
    expect(epochsOfSet(record, { from: state(0).id, to: state(0).id })).to.deep.include({ from: 1, to: 1 });
    expect(() => epochsOfSet(record, { from: state(1).id, to: state(0).id }))
      .to.throw()
      .with.property('code', 'unknown-state');
    expect(() => epochsOfSet(record, { from: null, to: state(9).id }))
      .to.throw()
      .with.property('code', 'unknown-state');
    expect(() => withPin(record, 'vault', state(9).id))
      .to.throw()
      .with.property('code', 'unknown-state');
  });

  it('is the same after a trip through its file', () => {
    const record = sealed(sealed(fresh, ['vault', '__proto__']), ['vault']);
    expect(readEpochs(writeRecord(record), 'epochs.json')).to.deep.equal(record);
  });
});

describe('small parts', () => {
  it('a budget takes all or nothing', () => {
    const budget = new Budget(100);
    expect(budget.take(60)).to.equal(true);
    expect(budget.take(50)).to.equal(false);
    expect(budget.take(20, 0.5)).to.equal(false);
    expect(budget.take(0, 0.5)).to.equal(true);
    expect(budget.used).to.equal(60);
    budget.give(60);
    expect(budget.take(100)).to.equal(true);
  });

  it('the CRC-32 of four words is that of their bytes', () => {
    const word = fc.nat(2 ** 32 - 1);
    fc.assert(
      fc.property(word, fc.array(word, { minLength: 4, maxLength: 4 }), (start, words) => {
        const [a, b, c, d] = words as [number, number, number, number];
        const bytes = Buffer.from(Uint32Array.of(a, b, c, d).buffer);
        expect(crcOfWords(start, a, b, c, d)).to.equal(crc32(bytes, start));
      }),
    );
  });

  it('zeros are recognised wherever the one other byte is', () => {
    for (const size of [0, 1, 512, 4096, (1 << 20) + 17]) {
      expect(isZero(new Uint8Array(size))).to.equal(true);
      for (const at of [0, 1, size >> 1, size - 2, size - 1].filter((place) => place >= 0 && place < size)) {
        const bytes = new Uint8Array(size);
        bytes[at] = 1;
        expect(isZero(bytes)).to.equal(false);
      }
    }
  });
});
