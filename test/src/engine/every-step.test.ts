import { expect } from 'chai';
import * as fs from 'node:fs';
import { contentOf, EngineBench, expectSame, gather, pattern } from './engine-bench.js';

const BLOCK = 512;
const BLOCKS = 48;
const SIZE = BLOCKS * BLOCK;

/** A copy of all files is taken before every single action on them: what a process killed there would leave. */
describe('killed before any single file action', function () {
  this.timeout(120_000);

  it('of writes, seals, merges and drops, the volume comes back with the same answers', async () => {
    const bench = new EngineBench(SIZE, BLOCK);
    const copies: {
      bench: EngineBench;
      image: Buffer;
      underWay: [number, number] | null;
      states: string[];
    }[] = [];
    const known = new Map<string, Buffer>();
    let acknowledged = Buffer.alloc(SIZE);
    let underWay: [number, number] | null = null;
    let pinned: string[] = [];
    try {
      await bench.open();
      bench.files.fault = (action) => {
        if (action === 'write' || action === 'replace' || action === 'truncate' || action === 'punch') {
          copies.push({ bench: bench.killed(), image: acknowledged, underWay, states: [...pinned] });
        }
        return null;
      };
      const write = async (block: number, blocks: number, seed: number | null): Promise<void> => {
        underWay = [block, block + blocks];
        const next = Buffer.from(acknowledged);
        const bytes = seed === null ? Buffer.alloc(blocks * BLOCK) : pattern(seed, blocks * BLOCK);
        next.set(bytes, block * BLOCK);
        if (seed === null)
          await bench.volume.backend.writeZeroes(block * BLOCK, bytes.byteLength, {
            noHole: false,
            fua: false,
          });
        else await bench.volume.backend.write(block * BLOCK, bytes, false);
        acknowledged = next;
        underWay = null;
      };
      const seal = async (owner: string): Promise<string> => {
        const { id } = await bench.volume.seal({ grade: 'crash', pinAs: [owner] });
        known.set(id, acknowledged);
        return id;
      };

      await write(0, 20, 1);
      const base = await seal('vault');
      pinned = [base];
      // A copy cannot be taken while files come and go beside.
      await bench.volume.tidied();
      await write(3, 2, 2);
      for (let round = 0; round < 3; round++) {
        await write(round * 5, 4, 10 + round);
        await write(30 + round, 3, null);
        await seal('travel');
        await bench.volume.tidied();
        await write(round, 1, 20 + round);
      }
      await bench.volume.unpin('vault');
      pinned = [];
      await bench.volume.tidied();
      bench.files.fault = () => null;
      console.log(`      ${copies.length} places to be killed at`);
      expect(copies.length).to.be.greaterThan(60);

      for (const copy of copies) {
        const volume = await copy.bench.open();
        const found = fs.readFileSync(copy.bench.image);
        const between = new Set<number>();
        const [from, to] = copy.underWay ?? [0, 0];
        for (let block = from; block < to; block++) between.add(block);
        expectSame(found, copy.image, 'the volume', BLOCK, between);
        const about = await volume.describe();
        const numbers = fs
          .readdirSync(copy.bench.folder)
          .flatMap((name) => /^epoch-(\d+)/.exec(name)?.[1] ?? []);
        const record = JSON.parse(fs.readFileSync(copy.bench.stateFile('epochs.json'), 'utf8')) as {
          epochs: { number: number }[];
        };
        const listed = new Set(record.epochs.map(({ number }) => String(number)));
        expect(numbers.every((number) => listed.has(number))).to.equal(true, 'no file is left over');
        expect(about.warnings).to.deep.equal([]);
        const now = await volume.seal({ grade: 'crash', pinAs: ['check'] });
        for (const state of new Set([...copy.states, ...Object.values(about.pins)])) {
          const wanted = known.get(state);
          if (wanted === undefined) continue;
          const read = await contentOf(volume, state as typeof now.id, BLOCK, SIZE);
          expect(read.unavailable.size).to.equal(0);
          expectSame(read.content, wanted, 'a pinned state', BLOCK);
          const set = await gather(volume, { from: state as typeof now.id, to: now.id }, BLOCK);
          const applied = Buffer.from(wanted);
          for (const [block, bytes] of set.blocks) applied.set(bytes ?? Buffer.alloc(BLOCK), block * BLOCK);
          expectSame(applied, found, 'the set since then', BLOCK);
        }
        await copy.bench.dispose();
      }
    } finally {
      bench.files.fault = () => null;
      for (const copy of copies) await copy.bench.dispose();
      await bench.dispose();
    }
  });
});
