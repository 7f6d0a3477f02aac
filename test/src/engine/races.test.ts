import { expect } from 'chai';
import type { StateInfo } from '../../../protocol/state.js';
import type { WallTime } from '../../../protocol/units.js';
import { systemClock } from '../../../src/platform/clock.js';
import { contentOf, EngineBench, expectSame, gather, pattern, seededRandom } from './engine-bench.js';

const BLOCK = 4096;
const BLOCKS = 144;
const SIZE = BLOCKS * BLOCK;

/** Many writes under way at once while states are sealed, each write a stretch that is known afterwards. */
describe('writes racing seals', function () {
  this.timeout(60_000);
  let bench: EngineBench;
  beforeEach(async () => {
    bench = new EngineBench(SIZE, BLOCK);
    await bench.open();
  });
  afterEach(() => bench.dispose());

  const ticks = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
  };

  it('every state holds what was acknowledged before its seal, and nothing issued after it', async () => {
    const random = seededRandom('writes racing seals');
    bench.files.delay = () => ticks(random.below(3));
    // Each writer owns a region, so that its order is its own; sizes reach both ways of writing.
    const writers = 6;
    const region = BLOCKS / writers;
    const issued = new Array<number>(writers).fill(0);
    const acknowledged = new Array<number>(writers).fill(0);
    const history = Array.from({ length: writers }, () => [Buffer.alloc(region * BLOCK)]);
    let isOver = false;

    const writer = async (id: number): Promise<void> => {
      while (!isOver) {
        const blocks = 1 + random.below(random.below(2) === 0 ? 3 : region);
        const start = random.below(region - blocks + 1);
        const skew = random.below(2) * random.below(BLOCK);
        const bytes = pattern(random.below(1e9), Math.max(1, blocks * BLOCK - skew));
        const content = Buffer.from(history[id]!.at(-1)!);
        content.set(bytes, start * BLOCK);
        history[id]!.push(content);
        issued[id]!++;
        await bench.volume.backend.write((id * region + start) * BLOCK, bytes, false);
        acknowledged[id]!++;
        await ticks(1 + random.below(3));
      }
    };
    const running = Array.from({ length: writers }, (_, id) => writer(id));

    const seals: { state: StateInfo; atLeast: number[]; atMost: number[] }[] = [];
    try {
      for (let i = 0; i < (process.env['FARCOPY_SOAK'] === '1' ? 100 : 20); i++) {
        await ticks(random.below(30));
        const atLeast = [...acknowledged];
        const state = await bench.volume.seal({ grade: 'crash', pinAs: [`keep-${i}`] });
        seals.push({ state, atLeast, atMost: [...issued] });
        if (i > 3 && random.below(3) === 0) await bench.volume.unpin(`keep-${random.below(i)}`);
        // Reading an older state while everything moves.
        const old = seals[random.below(seals.length)]!;
        await contentOf(bench.volume, old.state.id, BLOCK, SIZE).catch((error: unknown) => {
          expect((error as { code?: string }).code).to.equal('unknown-state');
        });
      }
    } finally {
      isOver = true;
      await Promise.all(running);
    }
    await bench.volume.tidied();

    const { states } = await bench.volume.describe();
    const contents = new Map<string, Buffer>();
    for (const { state, atLeast, atMost } of seals) {
      if (!states.some(({ id }) => id === state.id)) continue;
      const { content, unavailable } = await contentOf(bench.volume, state.id, BLOCK, SIZE);
      expect(unavailable.size).to.equal(0);
      contents.set(state.id, content);
      for (let id = 0; id < writers; id++) {
        const found = content.subarray(id * region * BLOCK, (id + 1) * region * BLOCK);
        const candidates = history[id]!.slice(atLeast[id], atMost[id]! + 1);
        if (!candidates.some((candidate) => candidate.equals(found))) {
          throw new Error(`state ${state.ordinal}: region ${id} is at none of ${candidates.length} instants`);
        }
      }
    }
    expect(contents.size).to.be.greaterThan(5);
    for (const [i, to] of states.entries()) {
      const from = states[i - 1];
      if (from === undefined) continue;
      const set = await gather(bench.volume, { from: from.id, to: to.id }, BLOCK);
      const applied = Buffer.from(contents.get(from.id)!);
      for (const [block, bytes] of set.blocks) applied.set(bytes ?? Buffer.alloc(BLOCK), block * BLOCK);
      expectSame(applied, contents.get(to.id)!, 'set applied', BLOCK);
    }
  });

  it('a write under way at the flip belongs to the state; one that overlaps it waits; others do not', async () => {
    const seen = { flip: false };
    // A seal looks at the wall clock in the tick of its flip.
    const wall = (): WallTime => {
      seen.flip = true;
      return systemClock.wall();
    };
    await bench.reopen({ clock: { ...systemClock, wall } });
    let release = (): void => undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    bench.files.delay = (path) => (path === bench.image ? gate : Promise.resolve());
    const large = bench.volume.backend.write(0, pattern(1, 100 * BLOCK), false) as Promise<void>;
    await ticks(20);
    const sealing = bench.volume.seal({ grade: 'crash', pinAs: ['vault'] });
    while (!seen.flip) await ticks(1);
    const apart = bench.volume.backend.write(120 * BLOCK, pattern(2, BLOCK), false);
    expect(apart).to.equal(undefined, 'done at once');
    let isSealed = false;
    void sealing.then(() => (isSealed = true));
    let isOverlappingDone = false;
    const overlapping = Promise.resolve(bench.volume.backend.write(5 * BLOCK, pattern(3, BLOCK), false)).then(
      () => {
        isOverlappingDone = true;
      },
    );
    await ticks(20);
    expect(isOverlappingDone).to.equal(false);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(isSealed).to.equal(false, 'the state waits for it');
    release();
    await Promise.all([large, overlapping]);
    const state = await sealing;
    const { content } = await contentOf(bench.volume, state.id, BLOCK, SIZE);
    expectSame(
      content,
      Buffer.concat([pattern(1, 100 * BLOCK), Buffer.alloc(SIZE - 100 * BLOCK)]),
      'state',
      BLOCK,
    );
    const into = Buffer.alloc(BLOCK);
    await bench.volume.backend.read(5 * BLOCK, into);
    expect(into).to.deep.equal(pattern(3, BLOCK));
  });

  it('a block overwritten while it is read from the device is answered as it was', async () => {
    await bench.volume.backend.write(0, pattern(1, 8 * BLOCK), false);
    const state = await bench.volume.seal({ grade: 'crash', pinAs: ['vault'] });
    let writes = 0;
    bench.files.delayRead = (path) => {
      if (path === bench.image && writes++ === 0) {
        bench.files.delayRead = () => Promise.resolve();
        expect(bench.volume.backend.write(2 * BLOCK, pattern(2, 3 * BLOCK), false)).to.equal(undefined);
      }
      return Promise.resolve();
    };
    const { content } = await contentOf(bench.volume, state.id, BLOCK, SIZE);
    expect(writes).to.equal(1);
    expectSame(content.subarray(0, 8 * BLOCK), pattern(1, 8 * BLOCK), 'the state', BLOCK);
  });

  it('a state pinned while its boundary is being merged away stays', async () => {
    await bench.volume.backend.write(0, pattern(1, 30 * BLOCK), false);
    await bench.volume.seal({ grade: 'crash', pinAs: ['vault'] });
    await bench.volume.backend.write(0, pattern(2, 10 * BLOCK), false);
    const middle = await bench.volume.seal({ grade: 'crash', pinAs: ['travel'] });
    const wanted = Buffer.alloc(SIZE);
    await bench.volume.backend.read(0, wanted);
    await bench.volume.backend.write(5 * BLOCK, pattern(3, 10 * BLOCK), false);
    let pinning: Promise<void> | null = null;
    bench.files.fault = (action, path) => {
      if (action === 'write' && path.endsWith('epoch-1.before'))
        pinning ??= bench.volume.pin('late', middle.id);
      return null;
    };
    await bench.volume.seal({ grade: 'crash', pinAs: ['travel'] });
    await bench.volume.tidied();
    expect(pinning).not.to.equal(null);
    await (pinning as unknown as Promise<void>);
    const { content, unavailable } = await contentOf(bench.volume, middle.id, BLOCK, SIZE);
    expect(unavailable.size).to.equal(0);
    expectSame(content, wanted, 'the middle state', BLOCK);
  });

  it('seals asked for at once are taken one after the other', async () => {
    const states = await Promise.all(
      ['a', 'b', 'c'].map((owner) => bench.volume.seal({ grade: 'crash', pinAs: [owner] })),
    );
    expect(states.map(({ ordinal }) => ordinal)).to.deep.equal([0, 1, 2]);
    expect(states.map(({ parent }) => parent)).to.deep.equal([null, states[0]!.id, states[1]!.id]);
  });

  it('closing waits for what is under way', async () => {
    bench.files.delay = () => ticks(3);
    const write = bench.volume.backend.write(0, pattern(1, SIZE), false) as Promise<void>;
    const sealing = bench.volume.seal({ grade: 'crash', pinAs: ['vault'] });
    await bench.close();
    await write;
    const state = await sealing;
    const volume = await bench.open();
    expect((await volume.describe()).warnings).to.deep.equal([]);
    expect((await contentOf(volume, state.id, BLOCK, SIZE)).unavailable.size).to.equal(0);
  });
});
