import fc from 'fast-check';
import { blockIndex, type StateId } from '../../../protocol/units.js';
import type { ExportBackend } from '../../../src/nbd/backend.js';
import type { Volume } from '../../../src/engine/volume.js';
import { contentOf, EngineBench, expectSame, gather, pattern, seededRandom } from './engine-bench.js';

const BLOCK = 4096;
// Few enough that steps meet, and more than one write at once takes.
const BLOCKS = 28;
const SIZE = BLOCK * BLOCKS;

type Step =
  | { readonly kind: 'write'; readonly at: number; readonly length: number; readonly seed: number }
  | { readonly kind: 'zero'; readonly at: number; readonly length: number; readonly noHole: boolean }
  | { readonly kind: 'trim'; readonly at: number; readonly length: number }
  | { readonly kind: 'read'; readonly at: number; readonly length: number }
  | { readonly kind: 'seal'; readonly pinAs: readonly string[] }
  | { readonly kind: 'pin'; readonly owner: string; readonly which: number }
  | { readonly kind: 'unpin'; readonly owner: string }
  | { readonly kind: 'reopen' }
  | { readonly kind: 'kill' }
  | { readonly kind: 'tidy' };

const at = fc.oneof(
  fc.integer({ min: 0, max: SIZE - 1 }),
  fc.integer({ min: 0, max: BLOCKS - 1 }).map((block) => block * BLOCK),
);
const length = fc.oneof(
  { weight: 5, arbitrary: fc.integer({ min: 1, max: 3 * BLOCK }) },
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 6 }).map((blocks) => blocks * BLOCK) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: SIZE }) },
);
const owner = fc.constantFrom('vault', 'travel', 'spool');
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({ kind: fc.constant('write' as const), at, length, seed: fc.nat(1000) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('zero' as const), at, length, noHole: fc.boolean() }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('trim' as const), at, length }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('read' as const), at, length }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('seal' as const),
      pinAs: fc.uniqueArray(owner, { maxLength: 2 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('pin' as const), owner, which: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('unpin' as const), owner }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'reopen' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'kill' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'tidy' as const }) },
);

/** The volume beside a plain copy of every state. */
class Model {
  readonly #current = Buffer.alloc(SIZE);
  readonly #states = new Map<StateId, Buffer>();
  /** States that were pinned by somebody at every moment since they were sealed: nothing of them may be missing. */
  readonly #kept = new Set<StateId>();

  constructor(
    public bench: EngineBench,
    readonly isBudgetTight: boolean,
  ) {}

  get #volume(): Volume {
    return this.bench.volume;
  }

  async run(step: Step): Promise<void> {
    const backend: ExportBackend = this.#volume.backend;
    switch (step.kind) {
      case 'write': {
        const bytes = pattern(step.seed, Math.min(step.length, SIZE - step.at));
        await backend.write(step.at, bytes, step.seed % 7 === 0);
        this.#current.set(bytes, step.at);
        return;
      }
      case 'zero': {
        const length = Math.min(step.length, SIZE - step.at);
        await backend.writeZeroes(step.at, length, { noHole: step.noHole, fua: false });
        this.#current.fill(0, step.at, step.at + length);
        return;
      }
      case 'trim': {
        const length = Math.min(step.length, SIZE - step.at);
        await backend.trim(step.at, length, false);
        const found = Buffer.alloc(SIZE);
        await backend.read(0, found);
        for (let i = 0; i < SIZE; i++) {
          const isTrimmed = i >= step.at && i < step.at + length && found[i] === 0;
          if (found[i] !== this.#current[i] && !isTrimmed) throw new Error(`trim changed byte ${i}`);
        }
        this.#current.set(found);
        return;
      }
      case 'read': {
        const into = Buffer.alloc(Math.min(step.length, SIZE - step.at));
        await backend.read(step.at, into);
        expectSame(into, this.#current.subarray(step.at, step.at + into.byteLength), 'read', BLOCK);
        return;
      }
      case 'seal': {
        const state = await this.#volume.seal({ grade: 'crash', pinAs: step.pinAs });
        this.#states.set(state.id, Buffer.from(this.#current));
        this.#kept.add(state.id);
        return this.#forgetUnpinned();
      }
      case 'pin': {
        const { states } = await this.#volume.describe();
        const state = states[step.which % Math.max(1, states.length)];
        // It may be merged away in the background between the two calls, unless somebody else holds it.
        if (state !== undefined) await this.#volume.pin(step.owner, state.id).catch(() => undefined);
        return this.#forgetUnpinned();
      }
      case 'unpin':
        await this.#volume.unpin(step.owner);
        return this.#forgetUnpinned();
      case 'reopen':
        await this.bench.reopen();
        return;
      case 'kill': {
        await this.#volume.tidied();
        const killed = this.bench.killed();
        await this.bench.dispose();
        this.bench = killed;
        await killed.open();
        return;
      }
      case 'tidy':
        await this.#volume.tidied();
        return;
    }
  }

  /** Every state that can be asked for reads as it was; every set leads from one to the other. */
  async check(): Promise<void> {
    const found = Buffer.alloc(SIZE);
    await this.#volume.backend.read(0, found);
    expectSame(found, this.#current, 'the volume', BLOCK);
    const { states } = await this.#volume.describe();
    for (const [i, state] of states.entries()) {
      const wanted = this.#states.get(state.id);
      if (wanted === undefined) throw new Error('a state that was never sealed');
      await this.#checkState(state.id, wanted);
      for (const earlier of states.slice(0, i + 1)) await this.#checkSet(earlier.id, state.id);
    }
  }

  async #checkState(id: StateId, wanted: Buffer): Promise<void> {
    const isPinned = Object.values((await this.#volume.describe()).pins).includes(id);
    const read = await contentOf(this.#volume, id, BLOCK, SIZE).catch((error: unknown) => {
      if (!isPinned && (error as { code?: string }).code === 'unknown-state') return null;
      throw error;
    });
    if (read === null) return;
    if (this.#kept.has(id) && isPinned && !this.isBudgetTight && read.unavailable.size > 0) {
      throw new Error(`blocks ${[...read.unavailable].join()} of a pinned state are unavailable`);
    }
    expectSame(read.content, wanted, 'a state', BLOCK, read.unavailable);
  }

  async #checkSet(from: StateId, to: StateId): Promise<void> {
    const [base, wanted] = [this.#states.get(from), this.#states.get(to)];
    if (base === undefined || wanted === undefined) throw new Error('a state that was never sealed');
    const set = await gather(this.#volume, { from, to }, BLOCK, 8 * BLOCK).catch((error: unknown) => {
      if ((error as { code?: string }).code === 'unknown-state') return null;
      throw error;
    });
    if (set === null) return;
    const applied = Buffer.from(base);
    for (const [block, bytes] of set.blocks) {
      applied.fill(0, block * BLOCK, (block + 1) * BLOCK);
      if (bytes !== null) applied.set(bytes, block * BLOCK);
    }
    expectSame(applied, wanted, 'a set', BLOCK, set.unavailable);
    const count = await this.#volume.countChanges({ from, to }).catch(() => null);
    if (count !== null && count < set.blocks.size + set.unavailable.size)
      throw new Error(`count says ${count}`);
    for (const [block, bytes] of set.before) {
      const range = [block * BLOCK, (block + 1) * BLOCK] as const;
      expectSame(bytes, base.subarray(...range), `before-image of block ${block}`, BLOCK);
      if (base.compare(wanted, ...range, ...range) === 0) throw new Error(`block ${block} has not changed`);
    }
    await this.#checkBase(from, base);
  }

  /** Asks for blocks here and there, some twice. */
  async #checkBase(state: StateId, wanted: Buffer): Promise<void> {
    const runs = [
      { start: blockIndex(BLOCKS - 3), count: 3 },
      { start: blockIndex(0), count: BLOCKS },
      { start: blockIndex(5), count: 1 },
    ];
    const found = await this.#volume.readBase({ state, runs }).catch(() => null);
    if (found === null) return;
    let slot = 0;
    for (const { start, count } of runs) {
      for (let block: number = start; block < start + count; block++, slot++) {
        const bytes = found.content.subarray(slot * BLOCK, (slot + 1) * BLOCK);
        const old = wanted.subarray(block * BLOCK, (block + 1) * BLOCK);
        if (found.known[slot] === 1) expectSame(bytes, old, `base block ${block}`, BLOCK);
        else if (this.#kept.has(state) && !this.isBudgetTight) throw new Error(`block ${block} is not known`);
      }
    }
  }

  async #forgetUnpinned(): Promise<void> {
    const pinned = new Set(Object.values((await this.#volume.describe()).pins));
    for (const id of this.#kept) if (!pinned.has(id)) this.#kept.delete(id);
  }
}

describe('a volume beside a plain model', function () {
  this.timeout(120_000);
  const soak = process.env['FARCOPY_SOAK'] === '1';

  async function run(steps: readonly Step[], budget: number): Promise<void> {
    const model = new Model(new EngineBench(SIZE, BLOCK), budget < SIZE);
    try {
      await model.bench.open({ beforeImageBudgetBytes: budget });
      for (const [i, step] of steps.entries()) {
        await model.run(step);
        if (i % 5 === 4) await model.check();
      }
      await model.check();
      await model.bench.volume.tidied();
      await model.check();
    } finally {
      await model.bench.dispose();
    }
  }

  it('any steps, with room for every before-image', async () => {
    const { seed } = seededRandom('ample budget');
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 60 }), (steps) => run(steps, 1 << 30)),
      { seed, numRuns: soak ? 2000 : 150 },
    );
  });

  it('any steps, with a budget that runs out', async () => {
    const { seed } = seededRandom('tight budget');
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 60 }), (steps) => run(steps, 12 * BLOCK)),
      { seed, numRuns: soak ? 1000 : 60 },
    );
  });
});
