import { expect } from 'chai';
import type { StateInfo } from '../../../protocol/state.js';
import { Seeded, seedOfThisRun } from '../../support/seeded.js';
import { contentOf, EngineBench, expectSame, gather, pattern } from './engine-bench.js';

const BLOCK = 512;
const BLOCKS = 4096;
const SIZE = BLOCKS * BLOCK;

interface Write {
  readonly offset: number;
  readonly length: number;
  readonly bytes: Buffer;
}

describe('writes that came together', function () {
  this.timeout(60_000);
  let bench: EngineBench;
  let image: Buffer;
  let state: StateInfo;

  beforeEach(async () => {
    bench = new EngineBench(SIZE, BLOCK);
    await bench.open();
    image = Buffer.alloc(SIZE);
    // Every other 16 blocks hold data, so that there are holes to be saved too.
    for (let block = 0; block < BLOCKS; block += 32) {
      const bytes = pattern(block, 16 * BLOCK);
      await bench.volume.backend.write(block * BLOCK, bytes, false);
      image.set(bytes, block * BLOCK);
    }
    state = await bench.volume.seal({ grade: 'crash', pinAs: ['vault'] });
    await bench.volume.tidied();
    bench.files.log.length = 0;
  });
  afterEach(() => bench.dispose());

  const writeOf = (block: number, bytes = pattern(block + 7, BLOCK)): Write => ({
    offset: block * BLOCK,
    length: bytes.byteLength,
    bytes,
  });

  async function carryOut(writes: readonly Write[]): Promise<void> {
    bench.volume.backend.announce(writes);
    await Promise.all(
      writes.map(async ({ offset, bytes }) => bench.volume.backend.write(offset, bytes, false)),
    );
  }

  const actionsOn = (part: string): string[] => bench.files.log.filter((line) => line.endsWith(part));
  const saved = async (): Promise<void> => {
    const read = await contentOf(bench.volume, state.id, BLOCK, SIZE);
    expect(read.unavailable.size).to.equal(0);
    expectSame(read.content, image, 'the state', BLOCK);
  };

  it('save what they write over with one write to each file, before the first data', async () => {
    await carryOut([200, 3, 2048, 65, 64, 3000].map((block) => writeOf(block)));
    expect(bench.files.log.filter((line) => line.startsWith('write'))).to.deep.equal([
      ...['.before', '.index', '.map'].map((part) => `write ${bench.stateFile(`epoch-1${part}`)}`),
      ...Array<string>(6).fill(`write ${bench.image}`),
    ]);
    await saved();
    await bench.reopen();
    await saved();
  });

  it('are one where a block is meant twice, and only parts of it', async () => {
    const half = BLOCK / 2;
    const writes = [0, half, 5 * half].map((offset): Write => {
      const bytes = pattern(offset, half);
      return { offset: 128 * BLOCK + offset, length: half, bytes };
    });
    await carryOut(writes);
    expect(actionsOn('.before').length).to.equal(1);
    await saved();
    const now = await bench.volume.seal({ grade: 'crash', pinAs: [] });
    const { blocks } = await gather(bench.volume, { from: state.id, to: now.id }, BLOCK);
    expect([...blocks.keys()]).to.deep.equal([128, 130]);
    expect((await bench.volume.describe()).beforeImageBytes).to.equal(2 * BLOCK);
  });

  it('that are never carried out leave the state and what follows as they are', async () => {
    bench.volume.backend.announce([writeOf(1), writeOf(40)]);
    await saved();
    await carryOut([writeOf(1), writeOf(2)]);
    await saved();
  });

  it('each save for themselves what could not be saved together', async () => {
    let faults = 1;
    for (const part of ['.before', '.index']) {
      faults = 1;
      bench.files.fault = (action, path) =>
        action === 'write' && path.endsWith(part) && faults-- > 0 ? 'io' : null;
      await carryOut([0, 1, 2].map((block) => writeOf(block + (part === '.index' ? 64 : 0))));
      expect(faults).to.be.lessThan(1);
    }
    await saved();
  });

  it('are marked together when nobody may ask for what they write over', async () => {
    await bench.volume.unpin('vault');
    bench.files.log.length = 0;
    await carryOut([5, 900, 3000].map((block) => writeOf(block)));
    expect(actionsOn('.map').length).to.equal(1);
    expect(actionsOn('.before')).to.deep.equal([]);
    expect((await bench.volume.describe()).dirtyBlocks).to.be.at.least(3);
  });

  it('wait for one that is under way, and belong to the epoch in which they are carried out', async () => {
    const large = writeOf(0, pattern(99, 600 * BLOCK));
    let letGo = (): void => undefined;
    const held = new Promise<void>((resolve) => (letGo = resolve));
    bench.files.delay = (path) => (path === bench.image ? held : Promise.resolve());
    const first = bench.volume.backend.write(large.offset, large.bytes, false);
    const others = carryOut([writeOf(10), writeOf(20), writeOf(3000)]);
    letGo();
    await Promise.all([first, others]);
    bench.files.delay = () => Promise.resolve();
    await saved();
    const found = Buffer.alloc(BLOCK);
    await bench.volume.backend.read(10 * BLOCK, found);
    expect(found.equals(pattern(17, BLOCK))).to.equal(true);
  });

  it('do not save what a write of the epoch before has not finished', async () => {
    const bytes = pattern(99, 600 * BLOCK);
    let letGo = (): void => undefined;
    const held = new Promise<void>((resolve) => (letGo = resolve));
    bench.files.delay = (path) => (path === bench.image ? held : Promise.resolve());
    const first = bench.volume.backend.write(0, bytes, false);
    const sealing = bench.volume.seal({ grade: 'crash', pinAs: ['vault'] });
    // Somewhere among these turns the next epoch opens; the seal then waits for the write.
    for (let turn = 0; turn < 200; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
      bench.volume.backend.announce([writeOf(10), writeOf(20)]);
    }
    letGo();
    await first;
    state = await sealing;
    image.set(bytes, 0);
    await carryOut([writeOf(10), writeOf(20)]);
    await saved();
  });

  it('answer every state as it was, in any mixture with others, seals and full budgets', async () => {
    const seed = seedOfThisRun();
    console.log(`      SEED=${seed}`);
    const seeded = new Seeded(seed);
    await bench.reopen({ beforeImageBudgetBytes: 300 * BLOCK });
    const current = Buffer.from(image);
    for (let round = 0; round < 60; round++) {
      const writes = Array.from({ length: 1 + seeded.below(20) }, () => {
        const length = seeded.pick([100, BLOCK, BLOCK, BLOCK, 3 * BLOCK]);
        const offset = seeded.below(SIZE - length);
        return { offset, length, bytes: pattern(seeded.below(1 << 30), length) };
      });
      bench.volume.backend.announce(seeded.chance(0.8) ? writes : writes.slice(0, 2));
      // One after the other: they may overlap.
      for (const { offset, bytes } of writes) {
        await bench.volume.backend.write(offset, bytes, false);
        current.set(bytes, offset);
      }
      if (round !== 30) continue;
      const read = await contentOf(bench.volume, state.id, BLOCK, SIZE);
      expectSame(read.content, image, 'the state', BLOCK, read.unavailable);
      state = await bench.volume.seal({ grade: 'crash', pinAs: ['vault'] });
      image = Buffer.from(current);
      await bench.volume.tidied();
    }
    const read = await contentOf(bench.volume, state.id, BLOCK, SIZE);
    expectSame(read.content, image, 'the state', BLOCK, read.unavailable);
    const now = await bench.volume.seal({ grade: 'crash', pinAs: [] });
    const set = await gather(bench.volume, { from: state.id, to: now.id }, BLOCK);
    for (const [block, bytes] of set.blocks) image.set(bytes ?? Buffer.alloc(BLOCK), block * BLOCK);
    expectSame(image, current, 'the copy, brought up to date', BLOCK);
  });
});
