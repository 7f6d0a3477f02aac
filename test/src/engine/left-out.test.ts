import { expect } from 'chai';
import type { StateInfo } from '../../../protocol/state.js';
import { blockIndex, stateId } from '../../../protocol/units.js';
import { EngineBench, expectSame, gather, pattern } from './engine-bench.js';

const BLOCK = 4096;
const BLOCKS = 64;
const OWNER = 'base:vault';

describe('a block that was written and is as it was', () => {
  let bench: EngineBench;
  beforeEach(async () => {
    bench = new EngineBench(BLOCKS * BLOCK, BLOCK);
    await bench.open();
  });
  afterEach(() => bench.dispose());

  const write = (block: number, bytes: Buffer): void | Promise<void> =>
    bench.volume.backend.write(block * BLOCK, bytes, false);
  const seal = (...pinAs: string[]): Promise<StateInfo> => bench.volume.seal({ grade: 'crash', pinAs });
  const told = async (from: StateInfo, to: StateInfo): Promise<number[]> => [
    ...(await gather(bench.volume, { from: from.id, to: to.id, by: OWNER }, BLOCK)).blocks.keys(),
  ];

  it('is left out of the set, in one epoch and over several', async () => {
    await write(0, pattern(1, 20 * BLOCK));
    const base = await seal(OWNER);
    await write(0, pattern(2, 20 * BLOCK));
    await write(30, pattern(3, 2 * BLOCK));
    const middle = await seal('other');
    await write(0, pattern(1, 20 * BLOCK));
    await write(30, Buffer.alloc(BLOCK));
    const last = await seal('travel:vault');
    expect(await told(base, middle)).to.deep.equal([...Array(20).keys(), 30, 31]);
    expect(await told(base, last)).to.deep.equal([31]);
    await write(31, Buffer.alloc(BLOCK));
    expect(await told(base, await seal('travel:vault'))).to.deep.equal([]);
  });

  it('is told where the far side has it as at a later state, of which only changes are asked for', async () => {
    await write(0, pattern(1, 8 * BLOCK));
    const base = await seal(OWNER);
    await write(0, pattern(2, 6 * BLOCK));
    const since = await seal('travel:vault');
    await write(2, pattern(1, 8 * BLOCK).subarray(2 * BLOCK, 4 * BLOCK));
    await write(0, pattern(3, BLOCK));
    await write(0, pattern(2, BLOCK));
    const to = await seal('next:vault');
    const part = await bench.volume.collect({
      from: base.id,
      since: since.id,
      to: to.id,
      cursor: blockIndex(0),
      maxContentBytes: 1 << 20,
    });
    expect(part.runs).to.deep.equal([{ start: 2, count: 2, zero: false }]);
    expectSame(part.before!.content, part.content, 'what they held at the base', BLOCK);
  });

  it('is told where a compare has found that the far copy has something else', async () => {
    await write(3, pattern(1, 2 * BLOCK));
    const like = await seal('compare:vault');
    const copy = { ...like, id: stateId('5a'.repeat(16)) };
    await bench.volume.compared({
      owner: OWNER,
      state: copy,
      like: like.id,
      differing: [{ start: 3, end: 4 }],
    });
    await write(3, pattern(2, 2 * BLOCK));
    await write(3, pattern(1, 2 * BLOCK));
    const to = await seal('travel:vault');
    const set = await gather(bench.volume, { from: copy.id, to: to.id, by: OWNER }, BLOCK);
    expect([...set.blocks.keys()]).to.deep.equal([3]);
    expect(set.before.size).to.equal(0);
    const base = { state: copy.id, by: OWNER, runs: [{ start: blockIndex(3), count: 2 }] };
    const { known, content } = await bench.volume.readBase(base);
    expect([...known]).to.deep.equal([0, 1]);
    expectSame(content.subarray(BLOCK), pattern(1, 2 * BLOCK).subarray(BLOCK), 'block 4', BLOCK);
  });

  it('is told where its old content was not kept', async () => {
    await bench.reopen({ beforeImageBudgetBytes: 4 * BLOCK });
    await write(0, pattern(1, 8 * BLOCK));
    const base = await seal(OWNER);
    for (let block = 0; block < 8; block++) await write(block, pattern(2, BLOCK));
    await write(0, pattern(1, 8 * BLOCK));
    const to = await seal('travel:vault');
    const found = await told(base, to);
    expect(found).to.include.members([6, 7]);
    expect(found).not.to.include.members([0, 1]);
  });

  it('a base is not known past the end of the volume, and not asked for too much at once', async () => {
    const { id: state } = await seal(OWNER);
    const failure = (start: number, count: number): Promise<unknown> =>
      bench.volume
        .readBase({ state, runs: [{ start: blockIndex(start), count }] })
        .catch((error: unknown) => error);
    expect(await failure(0, (64 << 20) / BLOCK + 1)).to.be.instanceOf(RangeError);
    expect(await failure(BLOCKS - 1, 3)).to.deep.include({ known: Uint8Array.of(1, 0, 0) });
  });
});
