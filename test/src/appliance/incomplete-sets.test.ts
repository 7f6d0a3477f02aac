import { expect } from 'chai';
import type { StateId } from '../../../protocol/units.js';
import { CrashFiles } from '../../support/crash-files.js';
import { Seeded } from '../../support/seeded.js';
import { BLOCK, ModelVolume } from '../replication/model-volume.js';
import { PRIMARY, TwoSites } from '../replication/two-sites.js';

/** A copy at a first state, and half of a second set on its way. */
async function halfway(seed: number): Promise<{ sites: TwoSites; first: StateId; second: StateId }> {
  const sites = new TwoSites(new Seeded(seed), [['ledger', 64]]);
  sites.volume.write(0, sites.seeded.bytes(BLOCK));
  await sites.startBackup();
  await sites.startPrimary();
  const first = await sites.seal();
  await sites.untilAt(first);
  for (let block = 1; block < 40; block++) sites.volume.write(block, sites.seeded.bytes(BLOCK));
  const second = await sites.seal();
  await sites.clock.until('half is there', () => (sites.replicator.view.transfer?.fraction ?? 0) > 0.5);
  return { sites, first, second };
}

const captureOf = (sites: TwoSites): StateId | null =>
  sites.backup!.store.volumes()[0]?.capture?.offer.to.id ?? null;

/** The image equals this state and all points are exact: no part of a set shows. */
async function expectWhole(sites: TwoSites, state: StateId, points: number): Promise<void> {
  expect(sites.copyOf()).to.equal(state);
  expect(await sites.expectPointsExact()).to.equal(points);
}

describe('an incomplete set', () => {
  it('is kept while its primary is away, also over a restart of the backup, and shows nowhere', async () => {
    const { sites, first, second } = await halfway(1);
    sites.killPrimary();
    await sites.clock.pass(24 * 3_600_000);
    expect(captureOf(sites)).to.equal(second);
    await expectWhole(sites, first, 1);
    sites.cutBackupPower();
    await sites.startBackup();
    expect(captureOf(sites)).to.equal(second);
    await expectWhole(sites, first, 1);
    await sites.startPrimary();
    await sites.untilAt(second);
    await expectWhole(sites, second, 2);
    await sites.close();
  });

  it('is dropped when its snapshot was spoiled and a newer one takes its place', async () => {
    const { sites, first, second } = await halfway(2);
    sites.killPrimary();
    sites.primaryFiles = new CrashFiles();
    sites.volume.spoil(second);
    await sites.startPrimary();
    await sites.clock.until('another set is on its way', () => captureOf(sites) !== second);
    await expectWhole(sites, first, 1);
    await sites.clock.until(
      'it has arrived',
      () => sites.copyOf() !== first && sites.replicator.view.transfer === null,
    );
    expect(sites.copyOf()).to.not.equal(second);
    expect(captureOf(sites)).to.equal(null);
    await expectWhole(sites, sites.copyOf()!, 2);
    await sites.close();
  });

  it('is begun anew when the primary has lost what it had encoded', async () => {
    const { sites, second } = await halfway(3);
    sites.killPrimary();
    sites.primaryFiles = new CrashFiles();
    await sites.startPrimary();
    await sites.untilAt(second);
    expect(captureOf(sites)).to.equal(null);
    await expectWhole(sites, second, 2);
    await sites.close();
  });

  it('shows nowhere when the primary has lost its state folder, and the copy is not written over', async () => {
    const { sites, first } = await halfway(4);
    sites.killPrimary();
    sites.primaryFiles = new CrashFiles();
    const old = sites.volume;
    (sites.volumes as ModelVolume[])[0] = new ModelVolume(sites.seeded, 'ledger', 64);
    await sites.startPrimary();
    await sites.seal();
    await sites.clock.until('it is refused', () => sites.told.some((text) => /another volume/.test(text)));
    expect(sites.copyOf()).to.equal(first);
    const store = await sites.backup!.store.volume(PRIMARY, 'ledger');
    const reader = await store.openState(first);
    const found = new Uint8Array(64 * BLOCK);
    await reader.read(found, 0);
    await reader.close();
    expect(Buffer.compare(found, old.history.get(first)!)).to.equal(0);
    await sites.close();
  });
});
