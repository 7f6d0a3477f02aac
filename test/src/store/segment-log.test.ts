import { expect } from 'chai';
import { RangeSet } from '../../../protocol/ranges.js';
import { byteCount, parcelId } from '../../../protocol/units.js';
import { RecordMemory, SegmentLog } from '../../../src/store/segment-log.js';
import type { File } from '../../../src/platform/files.js';
import { Store } from '../../../src/store/store.js';
import { MemoryFiles } from '../../support/memory-files.js';
import { Seeded, seedOfThisRun } from '../../support/seeded.js';
import { MadeVolume, steppingClock } from './made-sets.js';

const SET_ID = '5'.repeat(32);
const PATH = '/parcel.segments';
const LENGTH = 600_000;

describe('The log of a parcel that arrives', () => {
  it('makes the parcel again from segments in any order, overlapping, several in a step, over restarts', async () => {
    const seed = seedOfThisRun();
    console.log(`      SEED=${seed}`);
    const seeded = new Seeded(seed);
    const encoded = seeded.bytes(LENGTH);
    const announcement = {
      id: parcelId('1'.repeat(32)),
      length: byteCount(LENGTH),
      digest: seeded.bytes(32),
    };
    const files = new MemoryFiles();
    const memory = new RecordMemory();
    let log = await SegmentLog.create(files, PATH, SET_ID, announcement, 0);
    const held = new RangeSet();
    for (let step = 0; !log.isWhole; step++) {
      const gap = log.held.gaps(0, LENGTH)[0];
      const start = step < 20 ? seeded.below(LENGTH) : (gap?.start ?? 0);
      // Longer and shorter than what a log keeps memory for, and than what it had memory for last.
      const end = Math.min(LENGTH, start + 1 + seeded.below(seeded.chance(0.5) ? 5000 : 200_000));
      const cuts = [0, 0].map(() => start + seeded.below(end - start + 1)).sort((a, b) => a - b);
      const edges = [start, ...cuts, end];
      const parts = cuts.concat(end).map((to, i) => encoded.subarray(edges[i], to));
      await log.append(start, parts, memory);
      held.add(start, end);
      expect(log.held.ranges).to.deep.equal(held.ranges);
      if (!seeded.chance(0.2)) continue;
      await log.close();
      log = (await SegmentLog.open(files, PATH, SET_ID)) as SegmentLog;
      expect(log.held.ranges).to.deep.equal(held.ranges);
    }
    expect(Buffer.compare(await log.assemble(), encoded)).to.equal(0);
    await log.close();
  });

  it('keeps no memory of its own for long records: there are as many logs as the primary announces', async () => {
    const files = new MemoryFiles();
    const store = await Store.open({
      folder: '/store',
      files,
      clock: steppingClock(),
      random: new Seeded(3),
    });
    const copy = await store.volume('branch', 'ledger');
    const { offer } = new MadeVolume(new Seeded(4), 512, 32).makeSet();
    await copy.begin(offer);
    const taken: number[] = [];
    const allocate = Buffer.allocUnsafeSlow.bind(Buffer);
    Buffer.allocUnsafeSlow = (size) => {
      taken.push(size);
      return allocate(size);
    };
    try {
      const segment = new Uint8Array(100_000);
      for (let n = 0; n < 20; n++) {
        const id = parcelId(n.toString(16).padStart(32, '0'));
        await copy.announce({ id, length: byteCount(LENGTH), digest: new Uint8Array(32) });
        await copy.append(id, 0, segment);
      }
    } finally {
      Buffer.allocUnsafeSlow = allocate;
    }
    expect(taken.filter((size) => size >= 100_000)).to.have.length(1);
    await store.close();
  });

  it('has no file open before a segment comes, also after a restart: a set may be announced at once', async () => {
    const files = new MemoryFiles();
    const open = new Set<File>();
    const openFile = files.open.bind(files);
    files.open = async (path, mode) => {
      const file = await openFile(path, mode);
      const close = file.close.bind(file);
      file.close = () => {
        open.delete(file);
        return close();
      };
      open.add(file);
      return file;
    };
    const options = { folder: '/store', files, clock: steppingClock() };
    let store = await Store.open({ ...options, random: new Seeded(3) });
    const { offer } = new MadeVolume(new Seeded(4), 512, 32).makeSet();
    const ids = Array.from({ length: 300 }, (_, n) => parcelId(n.toString(16).padStart(32, '0')));
    let copy = await store.volume('branch', 'ledger');
    await copy.begin(offer);
    const before = open.size;
    for (const id of ids) await copy.announce({ id, length: byteCount(1000), digest: new Uint8Array(32) });
    expect(open.size - before).to.equal(0);
    await copy.append(ids[7]!, 5, new Uint8Array(10));
    expect(open.size - before).to.equal(1);
    // A byte of each, as from a primary that means ill.
    for (const id of ids) await copy.append(id, 20, new Uint8Array(1));
    expect(open.size - before).to.be.at.most(8);
    await copy.append(ids[0]!, 0, new Uint8Array(10));
    expect(copy.parcel(ids[0]!)?.held, 'one that was closed goes on').to.deep.equal([
      { start: 0, end: 10 },
      { start: 20, end: 21 },
    ]);
    await store.close();
    expect(open.size).to.equal(0);
    store = await Store.open({ ...options, random: new Seeded(5) });
    copy = await store.volume('branch', 'ledger');
    expect(copy.status().capture?.parcels).to.have.length(300);
    expect(copy.parcel(ids[7]!)?.held).to.deep.equal([
      { start: 5, end: 15 },
      { start: 20, end: 21 },
    ]);
    expect(open.size).to.be.at.most(before);
    await store.close();
  });
});
