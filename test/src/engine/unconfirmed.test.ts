import { expect } from 'chai';
import type { StateInfo } from '../../../protocol/state.js';
import { stateId } from '../../../protocol/units.js';
import { EngineBench, pattern, seededRandom } from './engine-bench.js';

const BLOCK = 4096;
const BLOCKS = 64;
const ALL = Array.from({ length: BLOCKS }, (_, block) => block);

describe('the blocks that backups do not hold yet', () => {
  let bench: EngineBench;
  beforeEach(async () => {
    bench = new EngineBench(BLOCKS * BLOCK, BLOCK);
    await bench.open();
  });
  afterEach(() => bench.dispose());

  const write = async (...blocks: number[]): Promise<void> => {
    for (const block of blocks) await bench.volume.backend.write(block * BLOCK, pattern(block, BLOCK), false);
  };
  const seal = (...pinAs: string[]): Promise<StateInfo> => bench.volume.seal({ grade: 'crash', pinAs });
  const changed = (of: StateInfo | null = null): number[] => {
    const backend =
      of === null ? bench.volume.backend : bench.volume.snapshots().find(({ state }) => state.id === of.id);
    const found: number[] = [];
    let at = 0;
    for (const extent of backend?.changed({ start: 0, end: BLOCKS * BLOCK }, 1000) ?? []) {
      for (let block = at / BLOCK; extent.changed && block * BLOCK < at + extent.length; block++)
        found.push(block);
      at += extent.length;
    }
    expect(at).to.equal(BLOCKS * BLOCK);
    return found;
  };

  it('are all, until the first copy is there', async () => {
    expect(changed()).to.deep.equal(ALL);
    const first = await seal('next:vault');
    expect(changed()).to.deep.equal(ALL);
    await bench.volume.pin('travel:vault', first.id);
    await bench.volume.unpin('next:vault');
    expect(changed()).to.deep.equal(ALL);
    await bench.volume.pin('base:vault', first.id);
    await bench.volume.unpin('travel:vault');
    expect(changed()).to.deep.equal([]);
    await write(7, 8);
    expect(changed()).to.deep.equal([7, 8]);
  });

  it('go on counting from the last confirmed state while another travels, and end when it has arrived', async () => {
    await seal('base:vault');
    await write(1, 2);
    const second = await seal('travel:vault');
    await write(2, 3);
    expect(changed()).to.deep.equal([1, 2, 3]);
    expect(changed(second)).to.deep.equal([1, 2]);
    await bench.volume.pin('base:vault', second.id);
    expect(changed()).to.deep.equal([2, 3]);
    expect(changed(second)).to.deep.equal([]);
    await bench.reopen();
    expect(changed()).to.deep.equal([2, 3]);
  });

  it('of several backups are put together; one without a copy has none of them', async () => {
    await seal('base:near');
    await write(1);
    await seal('base:far');
    await write(2);
    expect(changed()).to.deep.equal([1, 2]);
    await seal('next:new');
    expect(changed()).to.deep.equal(ALL);
  });

  it('are all while changes may have gone unnoticed, and what differs once that was compared', async () => {
    await seal('base:vault');
    await write(1);
    const killed = bench.killed();
    await bench.dispose();
    bench = killed;
    await bench.open({ bootId: 'boot-2' });
    expect(changed()).to.deep.equal(ALL);
    const like = await seal('travel:vault');
    expect(changed(like)).to.deep.equal(ALL);
    const copy = { ...like, id: stateId('5a'.repeat(16)), ordinal: 0 };
    await bench.volume.compared({
      owner: 'base:vault',
      state: copy,
      like: like.id,
      differing: [{ start: 20, end: 22 }],
    });
    await write(40);
    expect(changed()).to.deep.equal([20, 21, 40]);
  });

  it('are told in extents that fit the request, to the byte', async () => {
    await seal('base:vault');
    await write(1, 3, 5);
    const tell = (start: number, end: number, limit = 1000): unknown =>
      bench.volume.backend.changed({ start, end }, limit).map(({ length, changed: is }) => [length, is]);
    expect(tell(BLOCK + 100, BLOCK + 200)).to.deep.equal([[100, true]]);
    expect(tell(100, 2 * BLOCK + 7)).to.deep.equal([
      [BLOCK - 100, false],
      [BLOCK, true],
      [7, false],
    ]);
    expect(tell(0, 6 * BLOCK, 3)).to.deep.equal([
      [BLOCK, false],
      [BLOCK, true],
      [BLOCK, false],
    ]);
  });

  it('are what a plain model says, whatever is written, sealed, confirmed and merged', async () => {
    const random = seededRandom('unconfirmed');
    const backups = ['near', 'far'];
    const behind = new Map<string, Set<number>>();
    const travelling = new Map<string, { state: StateInfo; since: Set<number> }>();
    for (const backup of backups) {
      const state = await seal(`base:${backup}`);
      expect(state.ordinal).to.be.at.least(0);
      behind.set(backup, new Set());
    }
    for (let step = 0; step < 120; step++) {
      const backup = backups[random.below(2)]!;
      const under = travelling.get(backup);
      const what = random.below(6);
      if (what < 3) {
        const block = random.below(BLOCKS);
        await write(block);
        for (const each of backups) behind.get(each)?.add(block);
        for (const each of travelling.values()) each.since.add(block);
      } else if (what === 3 && under === undefined) {
        travelling.set(backup, { state: await seal(`travel:${backup}`), since: new Set() });
      } else if (what === 4 && under !== undefined) {
        await bench.volume.pin(`base:${backup}`, under.state.id);
        await bench.volume.unpin(`travel:${backup}`);
        behind.set(backup, under.since);
        travelling.delete(backup);
      } else if (what === 5 && random.below(4) === 0) {
        await bench.volume.tidied();
        await bench.reopen();
      }
      const model = new Set(backups.flatMap((each) => [...(behind.get(each) ?? [])]));
      expect(changed(), `SEED=${random.seed}, step ${step}`).to.deep.equal([...model].sort((a, b) => a - b));
    }
  });
});
