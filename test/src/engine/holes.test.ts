import { expect } from 'chai';
import type { StateInfo } from '../../../protocol/state.js';
import { BITMAP_PAGE_BITS } from '../../../src/engine/bitmap.js';
import { isZero } from '../../../src/engine/zero.js';
import { contentOf, EngineBench, expectSame, gather, pattern } from './engine-bench.js';

const BLOCK = 4096;
/** More than a neighbourhood. */
const BLOCKS = BITMAP_PAGE_BITS + 4096;
const SIZE = BLOCKS * BLOCK;
/** What the test reads of a state: the first blocks, where everything happens. */
const READ = 4096;

describe('first writes in a hole of the device', function () {
  this.timeout(60_000);
  let bench: EngineBench;
  /** The first blocks of the volume, as a model. */
  let image: Buffer;

  beforeEach(async function () {
    bench = new EngineBench(SIZE, BLOCK);
    const file = await bench.files.open(bench.image, 'read');
    const hole = file.nextDataSync?.(0);
    await file.close();
    if (hole !== Infinity) {
      await bench.dispose();
      console.log(
        '      skipped: the file system of temporary files is not one that tells its holes for sure',
      );
      return this.skip();
    }
    // One write makes all of it hot, so that none of the others waits.
    await bench.open({ hotUnitBytes: SIZE });
    image = Buffer.alloc(READ * BLOCK);
    await write(READ - 1);
  });
  afterEach(() => bench.dispose());

  async function write(block: number, seed = block, count = 1): Promise<void> {
    const bytes = pattern(seed, count * BLOCK);
    await bench.volume.backend.write(block * BLOCK, bytes, false);
    if (block < READ) image.set(bytes, block * BLOCK);
  }

  /** Seals, and forgets what was done to the files so far. */
  async function seal(): Promise<{ readonly state: StateInfo; readonly content: Buffer }> {
    const content = Buffer.from(image);
    const state = await bench.volume.seal({ grade: 'crash', pinAs: ['vault'] });
    await bench.volume.tidied();
    bench.files.log.length = 0;
    return { state, content };
  }

  /** What was done to the device and to the open epoch, as `action part`; `log`, the hot extents, is another matter. */
  const actions = (...kinds: readonly string[]): string[] =>
    bench.files.log
      .map((line) => line.replace(/ .*[./]/, ' '))
      .filter((action) => action !== 'write log' && kinds.some((kind) => action.startsWith(kind)));

  async function expectState(
    { state, content }: { readonly state: StateInfo; readonly content: Buffer },
    unavailable: readonly number[] = [],
  ): Promise<void> {
    const read = await contentOf(bench.volume, state.id, BLOCK, SIZE);
    expect([...read.unavailable]).to.deep.equal(unavailable);
    expectSame(read.content.subarray(0, READ * BLOCK), content, 'the state', BLOCK, read.unavailable);
    expect(isZero(read.content.subarray(READ * BLOCK))).to.equal(true);
  }

  it('read and save nothing, and note a whole neighbourhood once', async () => {
    const sealed = await seal();
    await write(1000);
    expect(actions('read', 'write')).to.deep.equal(['write index', 'write map', 'write image']);
    bench.files.log.length = 0;
    for (const block of [10, 3000, 1001, READ - 2]) await write(block);
    expect(actions('read', 'write')).to.deep.equal(Array(4).fill(['write map', 'write image']).flat());
    bench.files.log.length = 0;
    await write(BITMAP_PAGE_BITS);
    expect(actions('read', 'write')).to.deep.equal(['write index', 'write map', 'write image']);
    expect((await bench.volume.describe()).beforeImageBytes).to.equal(0);
    await expectState(sealed);
    await bench.reopen();
    await expectState(sealed);
  });

  it('that came together, and long ones, read and save nothing either', async () => {
    const sealed = await seal();
    const blocks = [7, 900, 901, 3333];
    bench.volume.backend.announce(blocks.map((block) => ({ offset: block * BLOCK, length: BLOCK })));
    for (const block of blocks) await write(block);
    await write(1000, 1, 700);
    expect(actions('read')).to.deep.equal([]);
    expect(actions('write before', 'write index')).to.deep.equal(['write index']);
    await expectState(sealed);
  });

  it('end where data lie: what is there is saved, also when both come together', async () => {
    await write(2000, 1, 3);
    const sealed = await seal();
    const blocks = [1999, 2001, 2003];
    bench.volume.backend.announce(blocks.map((block) => ({ offset: block * BLOCK, length: BLOCK })));
    for (const block of blocks) await write(block, block + 7);
    await write(2000, 5);
    await write(1990, 6, 40);
    expect((await bench.volume.describe()).beforeImageBytes).to.equal(3 * BLOCK);
    await expectState(sealed);
    const next = await bench.volume.seal({ grade: 'crash', pinAs: [] });
    const set = await gather(bench.volume, { from: sealed.state.id, to: next.id }, BLOCK);
    expect([...set.blocks.keys()]).to.deep.equal(Array.from({ length: 40 }, (_, i) => 1990 + i));
  });

  it('do not note what a write of the epoch before has not finished', async () => {
    let letGo = (): void => undefined;
    const held = new Promise<void>((resolve) => (letGo = resolve));
    bench.files.delay = (path) => (path === bench.image ? held : Promise.resolve());
    const first = write(100, 1, 300);
    const sealing = bench.volume.seal({ grade: 'crash', pinAs: ['vault'] });
    // The seal waits for the write; the next epoch is open when one is noted there, with nothing but a hole before it.
    let content = image;
    for (let block = 3000; !actions('write').includes('write index'); block--) {
      await new Promise((resolve) => setImmediate(resolve));
      content = Buffer.from(image);
      await write(block);
    }
    expect(bench.files.log.at(-3)).to.equal(`write ${bench.stateFile('epoch-1.index')}`);
    letGo();
    await first;
    content.set(image.subarray(100 * BLOCK, 400 * BLOCK), 100 * BLOCK);
    const state = await sealing;
    await write(150, 9);
    await expectState({ state, content });
  });

  it('do not note as zeros what has become a hole in this epoch', async () => {
    await write(500, 1);
    await bench.reopen({ beforeImageBudgetBytes: 0 });
    const sealed = await seal();
    await bench.volume.backend.writeZeroes(500 * BLOCK, BLOCK, { noHole: false, fua: false });
    for (const block of [3000, 700, 400]) await write(block);
    await expectState(sealed, [500]);
  });

  it('are saved like others where that cannot be noted', async () => {
    const sealed = await seal();
    let faults = 1;
    bench.files.fault = (action, path) =>
      action === 'write' && path.endsWith('.index') && faults-- > 0 ? 'io' : null;
    await write(8, 1);
    expect(actions('read')).to.deep.equal(['read image']);
    bench.files.fault = () => null;
    await expectState(sealed);
    await bench.reopen();
    await expectState(sealed);
  });

  it('are looked for less and less where there are none, and found again', async () => {
    await write(0, 1, 2000);
    const sealed = await seal();
    bench.files.holesAsked = 0;
    for (let block = 0; block < 2000; block++) await write(block, block + 3);
    expect(bench.files.holesAsked).to.be.within(1, 20);
    bench.files.log.length = 0;
    for (let block = 2100; block < 2500; block++) await write(block);
    expect(actions('read').length).to.be.within(0, 255);
    await expectState(sealed);
  });
});
