import { expect } from 'chai';
import * as fc from 'fast-check';
import { DIGEST_BYTES, FAN_OUT, treeHeight } from '../../../protocol/compare/digest.js';
import { scanNodes, type BlockSource, type ScanRequest } from '../../../protocol/compare/scan.js';
import { DigestTree, StateGone } from '../../../protocol/compare/tree.js';
import {
  answerRanges,
  CompareWalk,
  isAnswerable,
  MAX_ASKS_UNDER_WAY,
  MAX_DIGESTS,
  type Ask,
} from '../../../protocol/compare/walk.js';
import { RangeSet, type Range } from '../../../protocol/ranges.js';
import { seedOfThisRun } from '../../support/seeded.js';

const BLOCK = 512;
const KEY = new Uint8Array(16).fill(7);
const never = new AbortController().signal;

/** A volume of mostly zeros: the number of a block's content by its index. */
class Volume implements BlockSource {
  readonly blockSize = BLOCK;
  reads = 0;
  /** Blocks that were read. */
  readonly seen = new Set<number>();
  readonly #pages: readonly number[];

  constructor(
    readonly blocks: number,
    readonly content: ReadonlyMap<number, number>,
    /** Holes are told from this granularity on, as a file system does. */
    readonly page = 1,
    readonly gone: number | null = null,
  ) {
    const pages = [...content.keys()].map((block) => Math.floor(block / page) * page);
    this.#pages = [...new Set(pages)].sort((a, b) => a - b);
  }

  next(from: number, limit: number): Promise<{ start: number; end: number } | null> {
    let low = 0;
    for (let high = this.#pages.length; low < high;) {
      const middle = (low + high) >>> 1;
      if (this.#pages[middle]! + this.page > from) high = middle;
      else low = middle + 1;
    }
    const page = this.#pages[low];
    const start = page === undefined ? limit : Math.max(from, page);
    if (start >= limit) return Promise.resolve(null);
    return Promise.resolve({ start, end: Math.min((page ?? 0) + this.page, this.blocks) });
  }

  read(start: number, count: number): Promise<Uint8Array | null> {
    this.reads += count;
    for (let i = 0; i < count; i++) this.seen.add(start + i);
    const bytes = new Uint8Array(count * BLOCK);
    for (let i = 0; i < count; i++) {
      if (start + i === this.gone) return Promise.resolve(null);
      bytes.fill(this.content.get(start + i) ?? 0, i * BLOCK, (i + 1) * BLOCK);
    }
    return Promise.resolve(bytes);
  }

  tree(key = KEY, within?: readonly Range[]): Promise<DigestTree> {
    const { blockSize, blocks } = this;
    const scan = (request: ScanRequest): ReturnType<typeof scanNodes> => scanNodes(this, request);
    const some = within === undefined ? {} : { within };
    return DigestTree.grow({ key, blockSize, blocks, scan, ...some }, never);
  }
}

interface Walked {
  readonly differing: readonly number[];
  readonly asks: readonly Ask[];
  readonly digests: number;
  /** Questions one after the other, of which each had to wait for an answer. */
  readonly roundTrips: number;
}

async function walk(ours: Volume, theirs: Volume, depth: number, within?: readonly Range[]): Promise<Walked> {
  const [here, there] = await Promise.all([ours.tree(KEY, within), theirs.tree(KEY, within)]);
  const machine = new CompareWalk(ours.blocks, depth, Buffer.compare(here.root, there.root) !== 0);
  const asks: Ask[] = [];
  let digests = 0;
  let roundTrips = 0;
  for (;;) {
    const round: Ask[] = [];
    for (let ask = machine.nextAsk(); ask !== undefined; ask = machine.nextAsk()) round.push(ask);
    if (round.length === 0) break;
    roundTrips++;
    expect(round.length).to.be.at.most(MAX_ASKS_UNDER_WAY);
    for (const ask of round) {
      expect(isAnswerable(ask, ours.blocks)).to.equal(true);
      const answer = await there.answer(ask, never);
      expect(answer.byteLength).to.be.at.most(MAX_DIGESTS * DIGEST_BYTES);
      digests += answer.byteLength / DIGEST_BYTES;
      machine.take(ask, answer, await here.answer(ask, never));
      asks.push(ask);
    }
  }
  expect(machine.isDone).to.equal(true);
  const differing = machine.differing.ranges.flatMap(({ start, end }) =>
    Array.from({ length: end - start }, (_, index) => start + index),
  );
  return { differing, asks, digests, roundTrips };
}

describe('a compare by digest trees', () => {
  const seed = seedOfThisRun();

  it('finds just the blocks that differ, whatever the two volumes hold', async function () {
    this.timeout(60_000);
    console.log(`      SEED=${seed}`);
    const blocks = fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 9000 }));
    const places = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 3 })), { maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(
        blocks,
        places,
        places,
        fc.constantFrom(1, 2),
        fc.constantFrom(1, 8, 100),
        async (count, shared, changed, depth, page) => {
          const base = new Map(shared.map(([place, value]) => [place % count, value] as const));
          const other = new Map([
            ...base,
            ...changed.map(([place, value]) => [place % count, value] as const),
          ]);
          const wanted = [...other.keys()]
            .filter((block) => (base.get(block) ?? 0) !== (other.get(block) ?? 0))
            .sort((a, b) => a - b);
          const found = await walk(new Volume(count, base), new Volume(count, other, page), depth);
          expect(found.differing).to.deep.equal(wanted);
          if (wanted.length === 0) expect(found.asks).to.deep.equal([]);
        },
      ),
      { seed, numRuns: 150 },
    );
  });

  it('of some blocks finds those of them that differ, and reads no other', async function () {
    this.timeout(60_000);
    const places = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 3 })), { maxLength: 60 });
    const stretches = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 500 })), { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 9000 }),
        places,
        places,
        stretches,
        fc.constantFrom(1, 2),
        fc.constantFrom(1, 8, 100),
        async (count, shared, changed, some, depth, page) => {
          const base = new Map(shared.map(([place, value]) => [place % count, value] as const));
          const other = new Map([
            ...base,
            ...changed.map(([place, value]) => [place % count, value] as const),
          ]);
          // May reach past the end.
          const within = new RangeSet(
            some.map(([start, length]) => ({ start: start % count, end: (start % count) + length })),
          );
          const wanted = [...other.keys()]
            .filter((block) => (base.get(block) ?? 0) !== (other.get(block) ?? 0))
            .filter((block) => within.covers(block, block + 1))
            .sort((a, b) => a - b);
          const [ours, theirs] = [new Volume(count, base), new Volume(count, other, page)];
          const found = await walk(ours, theirs, depth, within.ranges);
          expect(found.differing).to.deep.equal(wanted);
          for (const block of [...ours.seen, ...theirs.seen]) {
            expect(within.covers(block, block + 1), `block ${block}`).to.equal(true);
          }
        },
      ),
      { seed, numRuns: 150 },
    );
  });

  it('of equal volumes asks nothing, however large, and reads no hole', async () => {
    const content = new Map([
      [3, 1],
      [2 ** 30, 2],
    ]);
    const ours = new Volume(2 ** 31, content);
    const theirs = new Volume(2 ** 31, content, 8);
    const { asks } = await walk(ours, theirs, 2);
    expect(asks).to.deep.equal([]);
    expect(ours.reads).to.equal(2);
    expect(theirs.reads).to.equal(16);
  });

  it('finds one block of 65,536 in two round trips, or in 64 digests', async () => {
    const base = new Map(Array.from({ length: 500 }, (_, index) => [index * 131, 1 + (index % 200)]));
    const other = new Map([...base, [40_000, 9]]);
    const quick = await walk(new Volume(65_536, base), new Volume(65_536, other), 2);
    expect(quick).to.include({ roundTrips: 2, digests: 512 });
    const short = await walk(new Volume(65_536, base), new Volume(65_536, other), 1);
    expect(short).to.include({ roundTrips: 4, digests: 64 });
    expect(short.differing).to.deep.equal([40_000]);
  });

  it('of all blocks differing tells little more than a digest a block', async () => {
    const count = 20_000;
    const filled = new Map(Array.from({ length: count }, (_, index) => [index, 1 + (index % 250)]));
    const { differing, digests } = await walk(new Volume(count, filled), new Volume(count, new Map()), 2);
    expect(differing.length).to.equal(count);
    expect(digests).to.be.lessThan(count * 1.1);
  });

  it('another key makes other digests', async () => {
    const volume = new Volume(10, new Map([[4, 1]]));
    const other = await volume.tree(new Uint8Array(16).fill(8));
    expect(Buffer.compare((await volume.tree()).root, other.root)).not.to.equal(0);
  });

  it('of a state whose content is gone there are no digests', async () => {
    const gone = new Volume(1000, new Map([[700, 1]]), 1, 700);
    const failure = await gone.tree().catch((error: unknown) => error);
    expect(failure).to.be.instanceOf(StateGone);
  });

  it('a tree is as high as its root needs, and an ask reaches only into it', () => {
    expect([1, 2, 16, 17, 256, 257, 65_536].map(treeHeight)).to.deep.equal([0, 1, 1, 2, 2, 3, 4]);
    expect(answerRanges({ level: 2, depth: 1, nodes: [0, 1] }, 300)).to.deep.equal([
      { start: 0, end: FAN_OUT },
      { start: FAN_OUT, end: 19 },
    ]);
    const isGood = (ask: Ask): boolean => isAnswerable(ask, 300);
    expect(isGood({ level: 2, depth: 1, nodes: [0, 1] })).to.equal(true);
    for (const ask of [
      { level: 0, depth: 1, nodes: [0] },
      { level: 4, depth: 1, nodes: [0] },
      { level: 2, depth: 3, nodes: [0] },
      { level: 2, depth: 0, nodes: [0] },
      { level: 2, depth: 1, nodes: [2] },
      { level: 1, depth: 1, nodes: Array.from({ length: 33 }, () => 0) },
    ]) {
      expect(isGood(ask), JSON.stringify(ask)).to.equal(false);
    }
  });
});
