import { expect } from 'chai';
import type { ScrubReport, VolumeStore } from '../../../src/store/volume-store.js';
import { BLOCK } from './model-volume.js';
import { PRIMARY, TwoSites } from './two-sites.js';

const IMAGE = '/store/branch/ledger/image';

const inStep = (seed: number): Promise<TwoSites> =>
  TwoSites.inStep(
    seed,
    300,
    Array.from({ length: 20 }, (_, i) => i * 3),
  );

const copyOf = ({ backup }: TwoSites): Promise<VolumeStore> => backup!.store.volume(PRIMARY, 'ledger');

/** A scrub by the backup's operator. */
async function scrub(sites: TwoSites): Promise<ScrubReport> {
  const report = await (await copyOf(sites)).scrub({ signal: new AbortController().signal });
  sites.backup!.site.tellSuspects(PRIMARY);
  // Until the primary has heard of it.
  await sites.clock.pass(1000);
  return report;
}

function rot({ backupFiles }: TwoSites, ...blocks: number[]): void {
  const content = backupFiles.contentOf(IMAGE);
  for (const block of blocks) content[block * BLOCK + 100]! ^= 4;
}

const blocksOf = (sites: TwoSites): readonly number[] =>
  (sites.backup!.store.volumes()[0]?.suspects?.blocks ?? []).flatMap(({ start, end }) =>
    Array.from({ length: end - start }, (_, i) => start + i),
  );

async function expectClean(sites: TwoSites): Promise<void> {
  const { rotten, unknown, points } = await scrub(sites);
  expect([rotten, unknown, points, blocksOf(sites)]).to.deep.equal([[], [], [], []]);
}

describe('rot in a far copy', () => {
  it('found by a scrub while a session is up is healed with the next set, in the older points too', async () => {
    const sites = await inStep(1);
    rot(sites, 6, 9, 250);
    expect((await scrub(sites)).rotten.length).to.equal(3);
    expect(blocksOf(sites)).to.deep.equal([6, 9, 250]);
    sites.volume.write(200, sites.seeded.bytes(BLOCK));
    await sites.untilAt(await sites.seal());
    expect(sites.timesTold(/warning: ledger: vault has found damage in its copy/)).to.equal(1);
    expect((await copyOf(sites)).points()[0]?.blocks, 'blocks sent').to.equal(4);
    await expectClean(sites);
    expect(await sites.expectPointsExact()).to.equal(2);
    // It is over: the next set is sent without a compare.
    await sites.untilAt(await sites.seal());
    expect(sites.timesTold(/compared with the copy/)).to.equal(1);
    await sites.close();
  });

  for (const side of ['backup', 'primary'] as const) {
    it(`found before the ${side} was started again is healed all the same`, async () => {
      const sites = await inStep(2);
      rot(sites, 3);
      await scrub(sites);
      if (side === 'backup') {
        sites.killBackup();
        await sites.startBackup();
      } else {
        sites.killPrimary();
        await sites.startPrimary();
      }
      await sites.untilAt(await sites.seal());
      await expectClean(sites);
      expect(await sites.expectPointsExact()).to.equal(2);
      await sites.close();
    });
  }

  it('a block that is equal after all is trusted again, and nothing is sent for it', async () => {
    const sites = await inStep(3);
    sites.backupFiles.contentOf('/store/branch/ledger/digests')[4096 + 8 * 12]! ^= 1;
    expect((await scrub(sites)).unknown).to.deep.equal([{ start: 12, end: 13 }]);
    await sites.untilAt(await sites.seal());
    expect((await copyOf(sites)).points()[0]?.blocks).to.equal(0);
    await expectClean(sites);
    await sites.close();
  });

  it('what the primary has written over since is lost of the older point alone', async () => {
    const sites = await inStep(4);
    rot(sites, 6, 9);
    await scrub(sites);
    sites.volume.write(6, sites.seeded.bytes(BLOCK));
    await sites.untilAt(await sites.seal());
    const { rotten, points } = await scrub(sites);
    expect([rotten, blocksOf(sites)]).to.deep.equal([[], []]);
    expect(points.map(({ state, blocks }) => [state.ordinal, blocks])).to.deep.equal([[0, 1]]);
    await sites.close();
  });

  it('a primary of before is told nothing that it does not know of; a compare of all heals', async () => {
    const sites = await inStep(5);
    rot(sites, 3);
    const { peer } = sites.primary!;
    const current = sites.backup!.site.session(PRIMARY)!;
    Object.assign(current, { heedsSuspects: false });
    await scrub(sites);
    await sites.untilAt(await sites.seal());
    expect(blocksOf(sites), 'not healed by a set').to.deep.equal([3]);
    expect(peer.line).to.not.equal(null);
    let outcome = '';
    void sites.replicator
      .compare(new AbortController().signal)
      .then((found) => (outcome = found.kind === 'compared' ? `${found.blocks} blocks` : found.text));
    await sites.clock.until('the compare has ended', () => outcome !== '');
    expect(outcome).to.equal('1 blocks');
    await sites.untilAt(await sites.seal());
    await expectClean(sites);
    await sites.close();
  });
});
