import { expect } from 'chai';
import { bytesOf, type LineBytes } from '../../../protocol/set-account.js';
import type { StateId } from '../../../protocol/units.js';
import type { PointAccount } from '../../../src/store/volume-store.js';
import { Seeded } from '../../support/seeded.js';
import { BLOCK } from './model-volume.js';
import { PRIMARY, TwoSites } from './two-sites.js';

/** As many as are encoded while no line is up. */
const BLOCKS = 40;

/** What both sides say of the set that led to a state, and how long its parcels were. */
interface Told {
  readonly primary: LineBytes;
  readonly point: PointAccount;
  readonly encoded: number;
}

/** Brings the volume as it is now to the copy; the parcels are looked at while no line is up. */
async function sent(sites: TwoSites): Promise<Told> {
  sites.modem.cut();
  await sites.clock.pass(60_000);
  const state = await sites.seal();
  await sites.clock.until('the set is spooled', () => sites.replicator.view.transfer?.phase !== 'encoding');
  await sites.clock.pass(1000);
  const encoded = sites.primaryFiles
    .paths('/spool')
    .filter((path) => path.endsWith('.parcel'))
    .reduce((sum, path) => sum + sites.primaryFiles.contentOf(path).byteLength, 0);
  sites.modem.restore();
  await sites.untilAt(state);
  return { primary: sites.replicator.view.lastSet!.line!, point: await accountOf(sites, state), encoded };
}

async function accountOf(sites: TwoSites, state: StateId): Promise<PointAccount> {
  const store = await sites.backup!.store.volume(PRIMARY, sites.volume.name);
  return store.points().find((point) => point.state.id === state)!.account!;
}

/** All parcels crossed once, and both sides tell their addresses apart alike. */
function expectAlike({ primary, point, encoded }: Told): {
  readonly data: number;
  readonly addresses: number;
} {
  const { data, addresses = NaN } = primary.toBackup;
  expect(data + addresses).to.equal(encoded);
  expect(point.byBackup!.toBackup).to.include({ data, addresses });
  expect(primary.toPrimary).to.include({ data: 0, addresses: 0 });
  expect(point.byBackup!.toPrimary).to.include({ data: 0, addresses: 0 });
  const { toBackup } = point.byPrimary!;
  expect(toBackup.data + (toBackup.addresses ?? NaN)).to.be.at.most(encoded);
  expect(bytesOf(toBackup)).to.be.at.most(bytesOf(primary.toBackup));
  return { data, addresses };
}

async function inStep(
  content: 'random' | 'zeros',
): Promise<{ readonly sites: TwoSites; readonly first: Told }> {
  const sites = new TwoSites(new Seeded(21), [['ledger', BLOCKS]]);
  for (let block = 0; content === 'random' && block < BLOCKS; block++) {
    sites.volume.write(block, sites.seeded.bytes(BLOCK));
  }
  await sites.startBackup();
  await sites.startPrimary();
  return { sites, first: await sent(sites) };
}

describe('what of a set on the line are addresses', () => {
  it('is next to nothing where new content travels', async () => {
    const { sites, first } = await inStep('random');
    const { data, addresses } = expectAlike(first);
    expect(data).to.be.at.least(BLOCKS * BLOCK);
    expect(addresses).to.be.within(1, 400);
    await sites.close();
  });

  it('is most of it where the set refers to what the copy holds', async () => {
    const { sites } = await inStep('random');
    for (let block = 1; block < BLOCKS; block += 4) {
      const bytes = sites.volume.content.slice(block * BLOCK, (block + 1) * BLOCK);
      sites.volume.write(block, Buffer.concat([bytes.subarray(700), bytes.subarray(0, 700)]));
    }
    const { data, addresses } = expectAlike(await sent(sites));
    expect(addresses).to.be.greaterThan(data);
    await sites.close();
  });

  it('is all of it where nothing but zeros travels', async () => {
    const { sites, first } = await inStep('zeros');
    expect(expectAlike(first)).to.deep.equal({ data: 0, addresses: 0 }, 'a copy begins as zeros');
    for (let block = 3; block < 30; block++) sites.volume.write(block, sites.seeded.bytes(BLOCK));
    expectAlike(await sent(sites));
    for (let block = 5; block < 25; block += 3) sites.volume.write(block, new Uint8Array(BLOCK));
    const { data, addresses } = expectAlike(await sent(sites));
    expect(data).to.equal(0);
    expect(addresses).to.be.greaterThan(5);
    await sites.close();
  });

  it('is told after a kill of the primary too, of what is counted since', async () => {
    const { sites } = await inStep('random');
    sites.modem.cut();
    for (let block = 0; block < BLOCKS; block += 2) sites.volume.write(block, sites.seeded.bytes(BLOCK));
    const state = await sites.seal();
    await sites.clock.pass(60_000);
    sites.killPrimary();
    await sites.startPrimary();
    sites.modem.restore();
    await sites.untilAt(state);
    const { toBackup } = sites.replicator.view.lastSet!.line!;
    expect((await accountOf(sites, state)).byBackup!.toBackup).to.include({
      data: toBackup.data,
      addresses: toBackup.addresses!,
    });
    await sites.close();
  });
});
