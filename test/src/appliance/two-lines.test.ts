import { expect } from 'chai';
import { Seeded } from '../../support/seeded.js';
import { BLOCK } from '../replication/model-volume.js';
import { TwoSites } from '../replication/two-sites.js';

/** What a report may not have told of yet when a line goes: half a second of line, and a frame. */
const UNREPORTED = 9000;

/** Sixty incompressible blocks: twenty seconds of line. */
async function onTwoLines(seed: number): Promise<TwoSites> {
  const sites = new TwoSites(new Seeded(seed), [['ledger', 64]]);
  sites.hasSpare = true;
  for (let block = 0; block < 60; block++) sites.volume.write(block, sites.seeded.bytes(BLOCK));
  await sites.startBackup();
  await sites.startPrimary();
  return sites;
}

const lineOf = (sites: TwoSites): string => {
  const { meters } = sites.primary!.peer;
  return meters.map(({ status }) => (status.state === 'connected' ? 'up' : 'down')).join(' ');
};

/** Parcel bytes that came to the backup although it held them. */
const duplicates = (sites: TwoSites): number =>
  sites.backup!.ports.meters.reduce((sum, { totals }) => sum + totals.bytesDuplicate, 0);

const share = (sites: TwoSites): number => sites.replicator.view.transfer?.fraction ?? 0;

describe('a set on two lines', () => {
  it('goes on at once over the second when the first drops, and over the first again when that is back', async () => {
    const sites = await onTwoLines(1);
    const state = await sites.seal();
    await sites.clock.until('a third is there', () => share(sites) > 0.33);
    expect(lineOf(sites)).to.equal('up down');
    sites.modem.cut();
    await sites.clock.until('the second line is up', () => lineOf(sites) === 'down up', 3000);
    await sites.clock.until('half is there', () => share(sites) > 0.55);
    sites.modem.restore();
    await sites.clock.until('the first is up again', () => lineOf(sites) === 'up down', 12_000);
    expect(share(sites)).to.be.lessThan(0.95);
    await sites.untilAt(state);
    expect(await sites.expectPointsExact()).to.equal(1);
    const { bytesRepeated } = sites.primary!.peer.totals;
    expect(bytesRepeated).to.be.lessThan(2 * UNREPORTED);
    expect(duplicates(sites)).to.equal(0);
    await sites.close();
  });

  it('leaves a first line that is silent for ten seconds', async () => {
    const sites = await onTwoLines(2);
    const state = await sites.seal();
    await sites.clock.until('a third is there', () => share(sites) > 0.33);
    const missing = 60 * BLOCK * (1 - share(sites));
    sites.isMute = true;
    await sites.clock.until('the second line is up', () => lineOf(sites).endsWith(' up'), 15_000);
    await sites.untilAt(state);
    const overSecond = sites.primary!.peer.meters[1]!.totals.bytesSent;
    expect(duplicates(sites)).to.equal(0);
    expect(overSecond).to.be.lessThan(missing * 1.06 + UNREPORTED);
    await sites.close();
  });

  it('hung up by the operator, goes on over the other, and comes back when released', async () => {
    const sites = await onTwoLines(3);
    const state = await sites.seal();
    await sites.clock.until('a third is there', () => share(sites) > 0.33);
    const { peer } = sites.primary!;
    expect(peer.hangUp(peer.meters[0]!.name)).to.equal(true);
    await sites.clock.until('the second line is up', () => lineOf(sites) === 'down up', 3000);
    await sites.clock.pass(5000);
    expect(lineOf(sites)).to.equal('down up');
    peer.release();
    await sites.clock.until('the first is up again', () => lineOf(sites) === 'up down', 3000);
    await sites.untilAt(state);
    expect(duplicates(sites)).to.equal(0);
    await sites.close();
  });
});

describe('a paused set', () => {
  it('moves nothing until it goes on, in the same session and with what is there', async () => {
    const sites = await onTwoLines(4);
    const state = await sites.seal();
    await sites.clock.until('a third is there', () => share(sites) > 0.33);
    await sites.replicator.pause();
    // What was on the line arrives.
    await sites.clock.pass(2000);
    const { bytesSent } = sites.primary!.peer.totals;
    await sites.clock.pass(60_000);
    expect(sites.primary!.peer.totals.bytesSent - bytesSent).to.be.lessThan(400);
    expect(sites.replicator.isActive).to.equal(false);
    await sites.replicator.resume();
    await sites.untilAt(state);
    // What was on the line when it was paused.
    expect(duplicates(sites)).to.be.lessThan(UNREPORTED);
    expect(await sites.expectPointsExact()).to.equal(1);
    await sites.close();
  });
});
