import { expect } from 'chai';
import type { StateInfo } from '../../../protocol/state.js';
import type { StateId } from '../../../protocol/units.js';
import type { Volume } from '../../../src/engine/volume.js';
import type { SetBounds, VolumeDescription } from '../../../src/engine/volume-service.js';
import type { Seeded } from '../../support/seeded.js';
import { expectSame, gather } from './engine-bench.js';

/** What a copy is brought up to date with: an opened volume, a state sealed just now, and all states as they were. */
export interface CopiesCheck {
  readonly volume: Volume;
  /** Of before `now` was sealed. */
  readonly about: VolumeDescription;
  readonly now: StateInfo;
  readonly states: ReadonlyMap<StateId, Buffer>;
  readonly blockSize: number;
  readonly seeded: Seeded;
}

/** A copy at a pinned state, with the set from there, is the volume as it is now. */
export async function expectReached(check: CopiesCheck, owner: string): Promise<void> {
  const { about, now, states } = check;
  const state = about.pins[owner];
  if (state === undefined) return;
  const { applied, unavailable } = await applySet(check, contentAt(states, state), {
    ...{ from: state, to: now.id, by: owner },
  });
  expect([...unavailable]).to.deep.equal([]);
  expectSame(applied, contentAt(states, now.id), `the copy of ${owner}, brought up to date`, check.blockSize);
}

/**
 * A set on its way was turned to a newer state, and its first parcels stay: what they hold is as of the state it led to
 * before, the rest as of the base. Both together, each with what has changed since, make the newer state.
 */
export async function expectTurned(check: CopiesCheck): Promise<number> {
  const { about, now, states, blockSize, seeded } = check;
  const { 'base:vault': base, 'travel:vault': travel, ...others } = about.pins;
  if (base === undefined) return 0;
  const ordinalOf = (id: StateId): number => about.states.find((state) => state.id === id)?.ordinal ?? 0;
  // Cut before all of them were let go, one may be of before the base.
  const earlier = Object.entries(others).filter(
    ([owner, state]) => owner.startsWith('earlier-') && ordinalOf(state) > ordinalOf(base),
  );
  for (const [owner, kept] of earlier) {
    for (const to of [travel ?? now.id, now.id]) {
      const cut = seeded.below(contentAt(states, to).byteLength / blockSize + 1);
      const far = Buffer.from(contentAt(states, base));
      contentAt(states, kept).copy(far, 0, 0, cut * blockSize);
      const by = 'base:vault';
      const turned = await applySet(check, far, { from: base, since: kept, to, by }, (block) => block < cut);
      const whole = await applySet(check, turned.applied, { from: base, to, by }, (block) => block >= cut);
      const unavailable = new Set([...turned.unavailable, ...whole.unavailable]);
      if (to === now.id) expect([...unavailable]).to.deep.equal([]);
      expectSame(whole.applied, contentAt(states, to), `a set turned from ${owner}`, blockSize, unavailable);
    }
  }
  return earlier.length;
}

/**
 * Compares the copy at a base that is in doubt, only of the blocks in doubt where these are known, and expects a set that
 * brings it up to date without what was found equal. Answers whether it was of a part.
 */
export async function compareCopy(check: CopiesCheck, owner: string): Promise<boolean> {
  const { volume, now, states, blockSize } = check;
  const { inDoubt, states: known, pins } = await volume.describe();
  const state = known.find(({ id }) => id === pins[owner]);
  if (state === undefined) throw new Error(`what ${owner} pins is not known`);
  const within = inDoubt?.[owner];
  const [copy, found] = [contentAt(states, state.id), contentAt(states, now.id)];
  const isDoubted = (block: number): boolean =>
    within?.some(({ start, end }) => block >= start && block < end) ?? true;
  const differs = (block: number): boolean => {
    const [start, end] = [block * blockSize, (block + 1) * blockSize];
    return copy.compare(found, start, end, start, end) !== 0;
  };
  const blocks = Array.from({ length: found.byteLength / blockSize }, (_, block) => block);
  await volume.compared({
    ...{ owner, state, like: now.id },
    differing: blocks
      .filter((block) => isDoubted(block) && differs(block))
      .map((start) => ({ start, end: start + 1 })),
    ...(within !== undefined && { within }),
  });
  const set = await gather(volume, { from: state.id, to: now.id, by: owner }, blockSize);
  for (const block of set.blocks.keys()) {
    expect(isDoubted(block) && !differs(block)).to.equal(false, `block ${block} was found equal`);
  }
  await expectReached(check, owner);
  expect((await volume.describe()).distrusted).not.to.have.property(owner);
  return within !== undefined;
}

/** What a copy becomes by a set, or by the `wanted` blocks of it; and which of these cannot be told any more. */
async function applySet(
  { volume, blockSize }: CopiesCheck,
  copy: Buffer,
  bounds: SetBounds,
  wanted: (block: number) => boolean = () => true,
): Promise<{ readonly applied: Buffer; readonly unavailable: ReadonlySet<number> }> {
  const set = await gather(volume, bounds, blockSize);
  const applied = Buffer.from(copy);
  for (const [block, bytes] of set.blocks) {
    if (wanted(block)) applied.set(bytes ?? Buffer.alloc(blockSize), block * blockSize);
  }
  return { applied, unavailable: new Set([...set.unavailable].filter(wanted)) };
}

/** A state's content. */
export function contentAt(states: ReadonlyMap<StateId, Buffer>, id: StateId): Buffer {
  const content = states.get(id);
  if (content === undefined) throw new Error(`state ${id} was never sealed`);
  return content;
}
