import { expect } from 'chai';
import { blockIndex } from '../../../protocol/units.js';
import { buildIndex, type IndexSource } from '../../../src/encoding/index-builder.js';
import { loadIndex, saveIndex } from '../../../src/encoding/index-file.js';
import { ReferenceIndex } from '../../../src/encoding/reference-index.js';
import { MAX_FEATURES, sketch } from '../../../src/encoding/sketch.js';
import { MemoryFiles } from '../../support/memory-files.js';
import { Seeded, seedOfThisRun } from '../../support/seeded.js';

const BLOCK = 4096;
const seed = seedOfThisRun();

const sourceOf = (volume: Buffer): IndexSource => ({
  next: (from, count) => {
    const content = volume.subarray(from * BLOCK, Math.min((from + count) * BLOCK, volume.byteLength));
    return Promise.resolve(content.byteLength === 0 ? null : { start: from, content });
  },
});
const never = new AbortController().signal;
const atOnce = (): Promise<void> => Promise.resolve();

describe('a sketch', () => {
  it(`is the same for the same content, and shares features with content moved by some bytes (SEED=${seed})`, () => {
    const random = new Seeded(seed);
    const one = new Uint32Array(MAX_FEATURES + 1);
    const other = new Uint32Array(MAX_FEATURES + 1);
    let shared = 0;
    for (let run = 0; run < 20; run++) {
      const bytes = random.bytes(2 * BLOCK);
      const count = sketch(bytes.subarray(0, BLOCK), MAX_FEATURES, one);
      expect(count).to.equal(MAX_FEATURES);
      expect([...one.subarray(0, count)]).to.deep.equal([...one.subarray(0, count)].sort((a, b) => a - b));
      const moved = sketch(bytes.subarray(1000, 1000 + BLOCK), MAX_FEATURES, other);
      shared += [...other.subarray(0, moved)].filter((feature) =>
        one.subarray(0, count).includes(feature),
      ).length;
    }
    expect(shared).to.be.greaterThan(20 * 4);
  });

  it('of one repeated byte has no features', () => {
    const into = new Uint32Array(MAX_FEATURES + 1);
    expect(sketch(Buffer.alloc(BLOCK), MAX_FEATURES, into)).to.equal(0);
    expect(sketch(Buffer.alloc(BLOCK, 7), MAX_FEATURES, into)).to.equal(0);
    expect(sketch(Buffer.alloc(10, 'abc'), MAX_FEATURES, into)).to.equal(0);
  });
});

describe('an index of the base state', () => {
  const shape = { blocks: 400, blockSize: BLOCK, memoryBytes: 1 << 20 };
  const volume = new Seeded(seed).bytes(400 * BLOCK);

  it(`is built in slices, stops when it is told to, and goes on from there (SEED=${seed})`, async () => {
    const index = ReferenceIndex.create(shape);
    const abort = new AbortController();
    let pauses = 0;
    const stopped = buildIndex(
      index,
      sourceOf(volume),
      () => {
        if (++pauses === 3) abort.abort(new Error('enough'));
        return atOnce();
      },
      abort.signal,
    );
    expect(await stopped.catch((error: unknown) => (error as Error).message)).to.equal('enough');
    expect(index.cursor).to.equal(128);
    expect(index.find(volume.subarray(100 * BLOCK, 101 * BLOCK))[0]).to.equal(100);
    expect(index.find(volume.subarray(300 * BLOCK, 301 * BLOCK))).to.deep.equal([]);
    await buildIndex(index, sourceOf(volume), atOnce, never);
    expect(index.cursor).to.equal(400);
    expect(index.find(volume.subarray(300 * BLOCK, 301 * BLOCK))[0]).to.equal(300);
    expect(index.find(volume.subarray(300 * BLOCK + 999, 301 * BLOCK + 999))).to.include(blockIndex(300));
  });

  it('is the same in another thread, by its shared memory', async () => {
    const index = ReferenceIndex.create(shape);
    const other = ReferenceIndex.over(index.shared)!;
    await buildIndex(index, sourceOf(volume), atOnce, never);
    expect(other.cursor).to.equal(400);
    expect(other.find(volume.subarray(7 * BLOCK, 8 * BLOCK))[0]).to.equal(7);
    other.add(blockIndex(9), volume.subarray(7 * BLOCK, 8 * BLOCK));
    expect(index.find(volume.subarray(7 * BLOCK, 8 * BLOCK))[0]).to.equal(9);
  });

  it('keeps within its memory, whatever the size of the volume, and still finds what was moved together', () => {
    const small = { blocks: 2 ** 31, blockSize: BLOCK, memoryBytes: 1 << 16 };
    const index = ReferenceIndex.create(small);
    expect(index.shared.byteLength).to.be.at.most(1 << 16);
    const tight = ReferenceIndex.create({ ...shape, blocks: 20_000, memoryBytes: 1 << 15 });
    expect(tight.shared.byteLength).to.be.at.most(1 << 15);
    for (let block = 0; block < 400; block++) {
      tight.add(blockIndex(block), volume.subarray(block * BLOCK, (block + 1) * BLOCK));
    }
    const found = Array.from({ length: 400 }, (_, block) =>
      tight.find(volume.subarray(block * BLOCK, (block + 1) * BLOCK)).includes(blockIndex(block)),
    ).filter(Boolean).length;
    // 2,048 slots and 20,000 blocks: one in ten or so is kept.
    expect(found).to.be.within(1, 200);
  });

  it(`on disk is whole, or there is none (SEED=${seed})`, async () => {
    const files = new MemoryFiles();
    await files.makeFolder('/state');
    const index = ReferenceIndex.create(shape);
    await buildIndex(index, sourceOf(volume), atOnce, never);
    expect(await loadIndex(files, '/state/index', shape)).to.equal(null);
    await saveIndex(files, '/state/index', index);
    const loaded = (await loadIndex(files, '/state/index', shape))!;
    expect(loaded.cursor).to.equal(400);
    expect(loaded.find(volume.subarray(7 * BLOCK, 8 * BLOCK))[0]).to.equal(7);

    for (const other of [
      { ...shape, blocks: 401 },
      { ...shape, blockSize: 512 },
      { ...shape, memoryBytes: 1 << 21 },
    ]) {
      expect(await loadIndex(files, '/state/index', other)).to.equal(null);
    }
    const whole = await files.readWhole('/state/index', 1 << 21);
    const random = new Seeded(seed);
    for (let run = 0; run < 20; run++) {
      const damaged = Buffer.from(whole);
      const at = random.below(damaged.byteLength);
      damaged[at] = damaged[at]! ^ (1 + random.below(255));
      await files.replace('/state/index', run % 2 === 0 ? damaged : damaged.subarray(0, at));
      expect(await loadIndex(files, '/state/index', shape)).to.equal(null);
    }
  });
});
