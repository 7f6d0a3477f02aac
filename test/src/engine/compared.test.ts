import { expect } from 'chai';
import * as fs from 'node:fs';
import { scanNodes } from '../../../protocol/compare/scan.js';
import type { StateInfo } from '../../../protocol/state.js';
import { stateId } from '../../../protocol/units.js';
import { contentOf, EngineBench, expectSame, gather, pattern } from './engine-bench.js';

const BLOCK = 4096;
const BLOCKS = 64;
const OWNER = 'base:vault';
const KEY = new Uint8Array(16).fill(1);

describe('what a compare has found', () => {
  let bench: EngineBench;
  beforeEach(async () => {
    bench = new EngineBench(BLOCKS * BLOCK, BLOCK);
    await bench.open();
  });
  afterEach(() => bench.dispose());

  const write = (block: number, seed: number): void | Promise<void> =>
    bench.volume.backend.write(block * BLOCK, pattern(seed, BLOCK), false);
  const seal = (...pinAs: string[]): Promise<StateInfo> => bench.volume.seal({ grade: 'crash', pinAs });
  const stranger = (state: StateInfo): StateInfo => ({ ...state, id: stateId('5a'.repeat(16)), ordinal: 77 });
  const set = async (from: StateInfo, to: StateInfo): Promise<number[]> => [
    ...(await gather(bench.volume, { from: from.id, to: to.id, by: OWNER }, BLOCK)).blocks.keys(),
  ];

  it('is the set from a state that was never known, with what has changed since, also after a restart', async () => {
    await write(1, 1);
    const like = await seal('compare:vault');
    const copy = stranger(like);
    const differing = [
      { start: 3, end: 5 },
      { start: 60, end: 64 },
    ];
    await bench.volume.compared({ owner: OWNER, state: copy, like: like.id, differing });
    await bench.volume.unpin('compare:vault');
    await write(9, 2);
    await write(4, 3);
    const next = await seal('travel:vault');
    await bench.volume.tidied();
    await bench.reopen();
    const about = await bench.volume.describe();
    expect(about.states.map(({ id }) => id)).to.deep.equal([copy.id, like.id, next.id]);
    expect(about.pins).to.include({ [OWNER]: copy.id });
    expect(await set(copy, like)).to.deep.equal([3, 4, 60, 61, 62, 63]);
    expect(await set(copy, next)).to.deep.equal([3, 4, 9, 60, 61, 62, 63]);
    expect(await bench.volume.countChanges({ from: copy.id, to: next.id, by: OWNER })).to.equal(7);
    // Nobody else knows the state.
    const foreign = await gather(bench.volume, { from: copy.id, to: next.id }, BLOCK).catch(
      (error: unknown) => error,
    );
    expect(foreign).to.have.property('code', 'unknown-state');
    // The state it is like stays as long as it is needed, and both go together.
    const old = await contentOf(bench.volume, like.id, BLOCK, BLOCKS * BLOCK);
    expect(old.unavailable.size).to.equal(0);
    expectSame(old.content.subarray(BLOCK, 2 * BLOCK), pattern(1, BLOCK), 'block 1', BLOCK);
    await bench.volume.pin(OWNER, next.id);
    await bench.volume.tidied();
    expect((await bench.volume.describe()).states.map(({ id }) => id)).to.deep.equal([next.id]);
    expect(fs.readdirSync(bench.folder).filter((name) => name.startsWith('compared'))).to.deep.equal([]);
  });

  it('narrows doubt to what differs; another backup goes on to doubt all', async () => {
    await write(1, 1);
    const base = await seal(OWNER, 'base:other');
    await write(2, 2);
    const killed = bench.killed();
    try {
      bench = (await bench.dispose(), killed);
      await bench.open({ bootId: 'boot-2' });
      expect((await bench.volume.describe()).distrusted).to.have.all.keys(OWNER, 'base:other');
      const like = await seal('travel:vault');
      expect((await set(base, like)).length).to.equal(BLOCKS);
      await bench.volume.compared({
        owner: OWNER,
        state: base,
        like: like.id,
        differing: [{ start: 2, end: 3 }],
      });
      expect(await set(base, like)).to.deep.equal([2]);
      const about = await bench.volume.describe();
      expect(about.distrusted).to.have.all.keys('base:other');
      expect(about.warnings).to.have.length(1);
      const other = await gather(bench.volume, { from: base.id, to: like.id, by: 'base:other' }, BLOCK);
      expect(other.blocks.size).to.equal(BLOCKS);
      // When the other one has all of it too, nothing is in doubt any more.
      await bench.volume.pin('base:other', like.id);
      expect((await bench.volume.describe()).distrusted).to.deep.equal({});
      expect((await bench.volume.describe()).warnings).to.deep.equal([]);
      await bench.reopen();
      expect((await bench.volume.describe()).warnings).to.deep.equal([]);
    } finally {
      await killed.dispose();
    }
  });

  it('after a power cut only hot blocks are compared: of the others what is marked differs', async () => {
    await bench.close();
    await bench.open({ hotUnitBytes: 4 * BLOCK });
    await write(1, 1);
    await write(40, 1);
    const base = await seal(OWNER);
    await write(20, 2);
    const first = await seal();
    await bench.volume.cool();
    await write(41, 3);
    const killed = bench.killed();
    try {
      bench = (await bench.dispose(), killed);
      await bench.open({ bootId: 'boot-2', hotUnitBytes: 4 * BLOCK });
      const hot = [{ start: 40, end: 44 }];
      const { inDoubt, distrustedFor } = await bench.volume.describe();
      expect(inDoubt).to.deep.equal({ [OWNER]: hot });
      expect(distrustedFor).to.deep.equal({ [OWNER]: 'the machine went down while the volume was open' });
      await write(50, 5);
      const like = await seal('travel:vault');
      expect(await set(base, like)).to.deep.equal([20, 40, 41, 42, 43, 50]);
      const finding = { owner: OWNER, state: base, like: like.id, differing: [{ start: 41, end: 42 }] };
      const refused = async (over: object): Promise<unknown> =>
        bench.volume.compared({ ...finding, within: hot, ...over }).catch((error: unknown) => error);
      // Too little of it, or a base that is not the owner's.
      expect(await refused({ within: [{ start: 40, end: 43 }] })).to.have.property('code', 'unknown-state');
      expect(await refused({ state: first })).to.have.property('code', 'unknown-state');
      expect((await bench.volume.describe()).distrusted).to.have.all.keys(OWNER);
      await bench.volume.compared({ ...finding, within: hot });
      expect(await set(base, like)).to.deep.equal([20, 41, 50]);
      const about = await bench.volume.describe();
      expect(about).to.deep.include({ distrusted: {}, distrustedFor: {}, inDoubt: {}, warnings: [] });
      await bench.reopen();
      expect(await set(base, like)).to.deep.equal([20, 41, 50]);
    } finally {
      await killed.dispose();
    }
  });

  it('what a compare has found is lost: everything is in doubt, although a power cut was a small one', async () => {
    await bench.close();
    await bench.open({ hotUnitBytes: 4 * BLOCK });
    const like = await seal('compare:vault');
    const copy = stranger(like);
    await bench.volume.compared({
      owner: OWNER,
      state: copy,
      like: like.id,
      differing: [{ start: 3, end: 5 }],
    });
    await bench.volume.cool();
    await write(41, 3);
    const killed = bench.killed();
    try {
      bench = (await bench.dispose(), killed);
      const [map] = fs.readdirSync(bench.folder).filter((name) => name.startsWith('compared-'));
      fs.rmSync(bench.stateFile(map!));
      await bench.open({ bootId: 'boot-2', hotUnitBytes: 4 * BLOCK });
      const { distrusted, inDoubt } = await bench.volume.describe();
      expect(distrusted).to.deep.include({ [OWNER]: like.ordinal });
      expect(inDoubt).not.to.have.property(OWNER);
    } finally {
      await killed.dispose();
    }
  });

  it('a compare of a part is not taken where marks are lost', async () => {
    const base = await seal(OWNER);
    await write(2, 2);
    await bench.close();
    const [map] = fs
      .readdirSync(bench.folder)
      .filter((name) => /^epoch-.*map$/.test(name))
      .sort()
      .slice(-1);
    fs.rmSync(bench.stateFile(map!));
    await bench.open();
    const like = await seal('travel:vault');
    const about = await bench.volume.describe();
    expect(about.inDoubt).to.deep.equal({});
    expect(about.distrustedFor).to.deep.equal({ [OWNER]: 'the list of changed blocks is lost' });
    const failure = await bench.volume
      .compared({
        owner: OWNER,
        state: base,
        like: like.id,
        differing: [],
        within: [{ start: 0, end: BLOCKS }],
      })
      .catch((error: unknown) => error);
    expect(failure).to.have.property('code', 'unknown-state');
    expect((await set(base, like)).length).to.equal(BLOCKS);
  });

  it('a failed sync is in doubt until a snapshot of after it was compared', async () => {
    await write(1, 1);
    const base = await seal(OWNER);
    await write(2, 2);
    bench.files.fault = (action, path) => (action === 'sync' && path === bench.image ? 'io' : null);
    await Promise.resolve(bench.volume.backend.flush()).catch(() => undefined);
    bench.files.fault = () => null;
    expect((await bench.volume.describe()).distrusted).to.deep.equal({ [OWNER]: base.ordinal + 1 });
    const like = await seal('travel:vault');
    expect((await bench.volume.describe()).warnings).to.have.length(1);
    await bench.volume.compared({ owner: OWNER, state: base, like: like.id, differing: [] });
    const about = await bench.volume.describe();
    expect(about.distrusted).to.deep.equal({});
    expect(about.warnings).to.deep.equal([]);
  });

  it('that was lost counts as all; one that nobody has recorded is removed', async () => {
    await write(1, 1);
    const like = await seal('travel:vault');
    const copy = stranger(like);
    await bench.volume.compared({
      owner: OWNER,
      state: copy,
      like: like.id,
      differing: [{ start: 1, end: 2 }],
    });
    await bench.close();
    const [name] = fs.readdirSync(bench.folder).filter((each) => each.startsWith('compared'));
    fs.rmSync(bench.stateFile(name!));
    fs.writeFileSync(bench.stateFile('compared-99.map'), 'left by a kill');
    await bench.open();
    expect((await set(copy, like)).length).to.equal(BLOCKS);
    expect(fs.existsSync(bench.stateFile('compared-99.map'))).to.equal(false);
  });

  it('killed before any file action, it is there as a whole or not at all', async () => {
    await write(1, 1);
    const base = await seal(OWNER);
    await write(2, 2);
    await write(3, 2);
    const like = await seal('travel:vault');
    const copies: EngineBench[] = [];
    bench.files.fault = (action) => {
      if (['write', 'replace', 'truncate', 'remove'].includes(action)) copies.push(bench.killed());
      return null;
    };
    await bench.volume.compared({
      owner: OWNER,
      state: base,
      like: like.id,
      differing: [{ start: 2, end: 3 }],
    });
    bench.files.fault = () => null;
    copies.push(bench.killed());
    expect(copies.length).to.be.greaterThan(3);
    const seen = new Set<string>();
    for (const copy of copies) {
      const volume = await copy.open();
      const { blocks } = await gather(volume, { from: base.id, to: like.id, by: OWNER }, BLOCK);
      seen.add([...blocks.keys()].join());
      await copy.dispose();
    }
    expect([...seen]).to.deep.equal(['2,3', '2']);
  });

  it('digests are of the state, whatever is written while they are made', async () => {
    for (const block of [0, 5, 40]) await write(block, block + 1);
    const state = await seal('compare:vault');
    const wanted = await bench.volume.digests({
      state: state.id,
      key: KEY,
      level: 0,
      first: 0,
      count: BLOCKS,
    });
    for (const block of [0, 5, 6, 63]) await write(block, 99);
    const again = await bench.volume.digests({
      state: state.id,
      key: KEY,
      level: 0,
      first: 0,
      count: BLOCKS,
    });
    expect(again).to.deep.equal(wanted);
    expect(wanted).to.include({ done: BLOCKS, unavailable: false });
    const found = await contentOf(bench.volume, state.id, BLOCK, BLOCKS * BLOCK);
    const plain = await scanNodes(
      {
        blockSize: BLOCK,
        blocks: BLOCKS,
        next: (from, limit) => Promise.resolve(from < limit ? { start: from, end: limit } : null),
        read: (start, count) =>
          Promise.resolve(found.content.subarray(start * BLOCK, (start + count) * BLOCK)),
      },
      { key: KEY, level: 0, first: 0, count: BLOCKS },
    );
    expect(Buffer.compare(plain.digests, wanted.digests)).to.equal(0);
  });
});
