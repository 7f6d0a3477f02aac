import { expect } from 'chai';
import { millis } from '../../../protocol/units.js';
import type { Volume } from '../../../src/engine/volume.js';
import { systemClock } from '../../../src/platform/clock.js';
import { contentOf, EngineBench, pattern } from './engine-bench.js';

const BLOCK = 4096;
const SIZE = 4 << 20;
const KIB = 1024;

const expectSame = (found: Uint8Array, wanted: Uint8Array): void => {
  expect(Buffer.compare(found, wanted) === 0).to.equal(true);
};

describe('long requests of a volume', () => {
  let bench: EngineBench;
  let volume: Volume;
  /** What the volume's clock shows: on a busy machine any write may seem to be held back. */
  let now: number;
  const content = pattern(1, SIZE);
  beforeEach(async () => {
    bench = new EngineBench(SIZE, BLOCK);
    now = 0;
    volume = await bench.open({ clock: { ...systemClock, now: () => millis(now) } });
    await volume.backend.write(0, content, false);
    bench.files.log.length = 0;
  });
  afterEach(() => bench.dispose());

  /** Actions on the device, in order. */
  const actions = (): string[] =>
    bench.files.log.filter((entry) => entry.endsWith(bench.image)).map((entry) => entry.split(' ')[0] ?? '');

  const readsAtOnce = async (offset: number, length: number): Promise<boolean> => {
    const into = Buffer.alloc(length, 0xee);
    const work = volume.backend.read(offset, into);
    const isAtOnce = !(work instanceof Promise);
    if (isAtOnce) expectSame(into, content.subarray(offset, offset + length));
    await work;
    expectSame(into, content.subarray(offset, offset + length));
    return isAtOnce;
  };

  it('are read at once where they are in memory', async () => {
    bench.files.cached = (wanted) => wanted;
    for (const length of [512, 64 * KIB, 256 * KIB, 1024 * KIB]) {
      expect(await readsAtOnce(BLOCK + 1, length), `${length}`).to.equal(true);
    }
    expect(actions()).to.deep.equal([]);
  });

  it('do not keep the thread where they are not, nor for more than a part', async () => {
    for (const share of [0, 1 / 3]) {
      bench.files.cached = (wanted) => Math.floor(wanted * share);
      for (const length of [512, 64 * KIB, 256 * KIB, 3 << 20]) {
        expect(await readsAtOnce(777, length), `${length}`).to.equal(false);
      }
    }
    bench.files.cached = (wanted) => wanted;
    expect(await readsAtOnce(777, 3 << 20)).to.equal(false);
  });

  it('are read at once up to 64 KiB where that cannot be told', async () => {
    expect(await readsAtOnce(5, 64 * KIB)).to.equal(true);
    expect(await readsAtOnce(5, 64 * KIB + 1)).to.equal(false);
  });

  it('are written at once where nothing has to be kept, and not where much has', async () => {
    const data = pattern(2, 256 * KIB);
    expect(volume.backend.write(0, data, false)).to.equal(undefined);
    expect(volume.backend.write(0, pattern(2, 256 * KIB + 1), false)).to.be.instanceOf(Promise);
    const { id } = await volume.seal({ grade: 'crash', pinAs: ['base:vault'] });
    const before = Buffer.from(content);
    pattern(2, 256 * KIB + 1).copy(before);
    const first = volume.backend.write(64 * KIB, data, false);
    expect(first).to.be.instanceOf(Promise);
    await first;
    expect(volume.backend.write(64 * KIB, pattern(3, 256 * KIB), false)).to.equal(undefined);
    const state = await contentOf(volume, id, BLOCK, SIZE);
    expect(state.unavailable.size).to.equal(0);
    expectSame(state.content, before);
    const found = Buffer.alloc(256 * KIB);
    await volume.backend.read(64 * KIB, found);
    expectSame(found, pattern(3, 256 * KIB));
  });

  it('leave the thread to others for a while when the kernel has held a write back', async () => {
    let isSlow = true;
    bench.files.fault = (action) => {
      if (action === 'write' && isSlow) now += 100;
      return null;
    };
    const isAtOnce = async (length: number): Promise<boolean> => {
      const work = volume.backend.write(0, pattern(4, length), false);
      await work;
      return work === undefined;
    };
    expect(await isAtOnce(256 * KIB)).to.equal(true);
    isSlow = false;
    expect(await isAtOnce(256 * KIB)).to.equal(false);
    expect(await isAtOnce(64 * KIB)).to.equal(true);
    let left = 1;
    while (!(await isAtOnce(256 * KIB))) left++;
    expect(left).to.be.within(2, 1000);
    expect(await isAtOnce(256 * KIB)).to.equal(true);
  });
});
