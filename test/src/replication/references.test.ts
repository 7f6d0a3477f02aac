import { expect } from 'chai';
import type { StateId } from '../../../protocol/units.js';
import { Seeded, seedOfThisRun } from '../../support/seeded.js';
import { BLOCK } from './model-volume.js';
import { BACKUP, PRIMARY, TwoSites } from './two-sites.js';

const IMAGE = '/store/branch/ledger/image';

/** A volume of random content and its copy at the same state. */
const inStep = (seed: number, blocks = 64): Promise<TwoSites> =>
  TwoSites.inStep(seed, blocks, Array(blocks).keys());

/** Changes one byte of a block. */
function nudge({ volume, seeded }: TwoSites, block: number): void {
  const bytes = volume.content.slice(block * BLOCK, (block + 1) * BLOCK);
  bytes[seeded.below(BLOCK)]! ^= 0x11;
  volume.write(block, bytes);
}

/** Flips a bit of a block of the copy. */
function rot(sites: TwoSites, block: number): void {
  sites.backupFiles.contentOf(IMAGE)[block * BLOCK + 77]! ^= 4;
}

const spooled = (sites: TwoSites): number =>
  sites.primaryFiles
    .paths('/spool')
    .filter((path) => /\.(?:parcel|again)$/.test(path))
    .reduce((sum, path) => sum + sites.primaryFiles.contentOf(path).byteLength, 0);

describe('a set that refers to what the copy holds', () => {
  it('takes a few bytes for blocks that are almost as they were', async () => {
    const sites = await inStep(1);
    sites.modem.cut();
    await sites.clock.pass(60_000);
    for (let block = 3; block < 60; block += 4) nudge(sites, block);
    const state = await sites.seal();
    await sites.clock.until('the set is spooled', () => spooled(sites) > 0);
    expect(spooled(sites)).to.be.below(15 * 20);
    sites.modem.restore();
    await sites.untilAt(state);
    expect(await sites.expectPointsExact()).to.equal(2);
    await sites.close();
  });

  it('over a rotten block is sent in full where it refers to it, and a compare finds the block', async () => {
    const sites = await inStep(2);
    rot(sites, 20);
    rot(sites, 40);
    for (const block of [3, 20, 50]) nudge(sites, block);
    const state = await sites.seal();
    await sites.clock.until('the copy has moved', () => sites.copyOf() === state);
    expect(sites.timesTold(/^warning: .*not what it should be/)).to.equal(1);
    await sites.clock.until('it was compared', () => sites.timesTold(/compared with the copy.*differ/) > 0);
    expect(sites.timesTold(/: 1 block differs/)).to.equal(1);
    nudge(sites, 0);
    const next = await sites.seal();
    await sites.clock.until('the next one has arrived', () => sites.copyOf() === next);
    const image = sites.backupFiles.contentOf(IMAGE);
    expect(Buffer.compare(image, sites.volume.content)).to.equal(0);
    await sites.close();
  });

  it('over a rotten block leads to a compare although the primary is killed before it', async () => {
    const sites = await inStep(6);
    rot(sites, 20);
    rot(sites, 40);
    for (const block of [3, 20, 50]) nudge(sites, block);
    const state = await sites.seal();
    const isRepaired = (): boolean =>
      sites.primaryFiles.paths('/spool').some((path) => path.endsWith('.again'));
    await sites.clock.until('the parcel was encoded again', isRepaired);
    sites.killPrimary();
    sites.told.splice(0);
    // The copy moves, and nothing of the mismatch is heard any more; one more kill with nothing to send.
    sites.modem.cut();
    await sites.startPrimary();
    sites.modem.restore();
    await sites.clock.until('the copy has moved', () => sites.copyOf() === state);
    sites.killPrimary();
    await sites.startPrimary();
    await sites.clock.until(
      'it was compared',
      () => sites.timesTold(/compared with the copy.*: 1 block /) > 0,
    );
    expect(sites.timesTold(/not what it should be/)).to.equal(0);
    await sites.untilAt(await sites.seal());
    expect(Buffer.compare(sites.backupFiles.contentOf(IMAGE), sites.volume.content)).to.equal(0);
    expect(Object.keys(sites.volume.pins)).to.deep.equal([`base:${BACKUP}`]);
    // Once is enough.
    const compares = sites.timesTold(/compared with the copy/);
    sites.killPrimary();
    await sites.startPrimary();
    await sites.clock.pass(120_000);
    expect(sites.timesTold(/compared with the copy/)).to.equal(compares);
    await sites.close();
  });

  it('is sent in full where it refers to what the primary misremembers', async () => {
    const sites = await inStep(3);
    sites.volume.misremembered.set(7, sites.seeded.bytes(BLOCK));
    const wrong = sites.volume.misremembered.get(7)!.slice();
    wrong[5]! ^= 1;
    sites.volume.write(7, wrong);
    nudge(sites, 9);
    const state = await sites.seal();
    await sites.untilAt(state);
    expect(sites.timesTold(/not what it should be/)).to.equal(1);
    expect(await sites.expectPointsExact()).to.equal(2);
    await sites.close();
  });

  it('to a backup that is too old for a form of delta goes without deltas in the end', async () => {
    const sites = await inStep(6);
    let refused = 0;
    sites.isTooNew = (form) => {
      const hasCode = form[0] === 2 || form[0] === 3;
      if (hasCode) refused++;
      return hasCode;
    };
    const code = Buffer.from(sites.seeded.bytes(BLOCK)).fill(0x90, BLOCK / 2);
    for (let at = 0; at < BLOCK / 2; at += 16) {
      code[at] = 0xe8;
      code.writeInt32LE(9999 - at, at + 1);
    }
    sites.volume.write(7, code);
    await sites.untilAt(await sites.seal());
    expect(refused).to.be.above(0);
    expect(sites.timesTold(/could not make out the set .* without deltas/)).to.equal(1);
    expect(await sites.expectPointsExact()).to.equal(2);
    await sites.close();
  });

  it('encodes again after a kill of either side in the midst of that', async () => {
    for (const side of ['primary', 'backup'] as const) {
      for (let crashAt = 0; crashAt < 24; crashAt += 3) {
        const sites = await inStep(100 + crashAt, 16);
        rot(sites, 5);
        nudge(sites, 5);
        sites.modem.cut();
        if (side === 'primary') sites.killPrimary({ crashAt });
        else sites.killBackup({ crashAt });
        await sites.revive();
        const state = await sites.seal();
        sites.modem.restore();
        await sites.clock.pass(20_000, () => sites.primaryFiles.hasCrashed || sites.backupFiles.hasCrashed);
        sites.killPrimary();
        sites.killBackup();
        await sites.revive();
        await sites.clock.until(`${side} at ${crashAt}: the copy has moved`, () => sites.copyOf() === state);
        const image = sites.backupFiles.contentOf(IMAGE);
        expect(Buffer.compare(image, sites.volume.content)).to.equal(0);
        await sites.close();
      }
    }
  });

  it('a revert while the set is held makes the next one nearly free', async () => {
    const sites = await inStep(4);
    const before = sites.volume.content.slice();
    for (let block = 0; block < 64; block++) sites.volume.write(block, sites.seeded.bytes(BLOCK));
    const first = await sites.seal();
    await sites.clock.pass(5000);
    for (let block = 0; block < 64; block++)
      sites.volume.write(block, before.slice(block * BLOCK, (block + 1) * BLOCK));
    const last = await sites.seal();
    await sites.untilAt(last);
    expect(sites.volume.history.has(first)).to.equal(true);
    await sites.expectPointsExact();
    await sites.close();
  });

  it('whatever rots, is misremembered, cut and killed, the copy ends as the volume is', async function () {
    this.timeout(600_000);
    const seed = seedOfThisRun();
    const runs = process.env['FARCOPY_SOAK'] === undefined ? 10 : 400;
    console.log(`      SEED=${seed}`);
    for (let run = 0; run < runs; run++) {
      await rough(new Seeded(seed + run)).catch((cause: unknown) => {
        throw new Error(`SEED=${seed + run}: ${(cause as Error).message}`, { cause });
      });
    }
  });
});

/** Blocks that rot are written before the end: nothing else would find them but a compare. */
async function rough(random: Seeded): Promise<void> {
  const sites = await inStep(random.word(), 24 + random.below(100));
  const { volume } = sites;
  const rotten = new Set<number>();
  for (let step = 3 + random.below(6); step > 0; step--) {
    for (let i = random.below(20); i > 0; i--) {
      const block = random.below(volume.blocks);
      if (random.chance(0.7)) nudge(sites, block);
      else if (random.chance(0.5)) volume.write(block, volume.content.slice(0, BLOCK));
      else volume.write(block, random.bytes(BLOCK));
    }
    if (random.chance(0.4) && sites.backup !== null) {
      const block = random.below(volume.blocks);
      rot(sites, block);
      rotten.add(block);
    }
    if (random.chance(0.3)) volume.misremembered.set(random.below(volume.blocks), random.bytes(BLOCK));
    else volume.misremembered.clear();
    await sites.seal();
    await sites.disturb(random);
  }
  sites.killPrimary();
  sites.killBackup();
  await sites.revive();
  volume.misremembered.clear();
  for (const block of rotten) volume.write(block, random.bytes(BLOCK));
  const last: StateId = await sites.seal();
  await sites.clock
    .until('the last state has arrived', () => sites.copyOf() === last)
    .catch((cause: unknown) => {
      throw new Error(`${(cause as Error).message}; told: ${sites.told.slice(-12).join(' | ')}`);
    });
  const store = await sites.backup!.store.volume(PRIMARY, 'ledger');
  const reader = await store.openState(last);
  const found = new Uint8Array(volume.content.byteLength);
  await reader.read(found, 0);
  await reader.close();
  expect(Buffer.compare(found, volume.content)).to.equal(0);
  await sites.close();
}
