import { expect } from 'chai';
import type { StateId } from '../../../protocol/units.js';
import { Seeded, seedOfThisRun } from '../../support/seeded.js';
import { BLOCK } from './model-volume.js';
import { BACKUP, PRIMARY, TwoSites } from './two-sites.js';

/** A set of so many incompressible blocks takes a second of line each three of them. */
async function running(seed: number, blocks = 48, filled = 8): Promise<TwoSites> {
  const sites = new TwoSites(new Seeded(seed), [['ledger', blocks]]);
  for (let block = 0; block < filled; block++) sites.volume.write(block, sites.seeded.bytes(BLOCK));
  await sites.startBackup();
  await sites.startPrimary();
  return sites;
}

describe('a volume and its far copy', () => {
  it('are the same after a first copy, a change, and a set without a block', async () => {
    const sites = await running(1);
    await sites.untilAt(await sites.seal());
    sites.volume.write(5, sites.seeded.bytes(BLOCK));
    sites.volume.write(6, new Uint8Array(BLOCK));
    await sites.untilAt(await sites.seal());
    await sites.untilAt(await sites.seal());
    expect(await sites.expectPointsExact()).to.equal(3);
    expect(sites.volume.pins).to.have.all.keys('base:vault');
    await sites.close();
  });

  it('are the same when the volume begins with more zeros than one look takes in', async () => {
    // Found by review: an answer without a block was taken for a spoiled snapshot, and a new one taken for ever.
    const sites = await running(2, 300, 0);
    sites.volume.write(290, sites.seeded.bytes(BLOCK));
    await sites.untilAt(await sites.seal());
    expect(await sites.expectPointsExact()).to.equal(1);
    expect(sites.volume.seals).to.equal(1);
    await sites.close();
  });

  it('are the same when the volume grows', async () => {
    const sites = await running(3);
    await sites.untilAt(await sites.seal());
    sites.volume.grow(7);
    sites.volume.write(53, sites.seeded.bytes(BLOCK));
    await sites.untilAt(await sites.seal());
    expect(await sites.expectPointsExact()).to.equal(2);
    await sites.close();
  });

  it('a newer state waits until the one on the line has arrived', async () => {
    const sites = await running(4);
    const first = await sites.seal();
    await sites.clock.pass(1500);
    sites.volume.write(1, sites.seeded.bytes(BLOCK));
    await sites.untilAt(await sites.seal());
    const store = await sites.backup!.store.volume(PRIMARY, 'ledger');
    expect(store.points().map(({ state }) => state.id)).to.include(first);
    expect(await sites.expectPointsExact()).to.equal(2);
    await sites.close();
  });

  it('what arrived before the carrier dropped is not sent again', async () => {
    const sites = await running(5, 64, 60);
    const state = await sites.seal();
    let drops = 0;
    for (let share = 0.2; share < 0.9; share += 0.2) {
      await sites.clock.until(
        `${share} is there`,
        () => (sites.replicator.view.transfer?.fraction ?? 0) > share,
      );
      sites.modem.cut();
      drops++;
      await sites.clock.pass(3000);
      sites.modem.restore();
    }
    await sites.untilAt(state);
    await sites.expectPointsExact();
    const { bytesRepeated } = sites.primary!.peer.totals;
    // A report comes at least every half second; what was sent since is lost with the carrier.
    expect(bytesRepeated).to.be.lessThan(drops * 12_000);
    await sites.close();
  });

  it('a set goes on after either side was killed, without what is there', async () => {
    const sites = await running(6, 64, 60);
    const state = await sites.seal();
    await sites.clock.until('a third is there', () => (sites.replicator.view.transfer?.fraction ?? 0) > 0.33);
    sites.killPrimary();
    await sites.clock.pass(2000);
    await sites.startPrimary();
    await sites.clock.until(
      'two thirds are there',
      () => (sites.replicator.view.transfer?.fraction ?? 0) > 0.66,
    );
    sites.killBackup();
    await sites.clock.pass(2000);
    await sites.startBackup();
    await sites.untilAt(state);
    await sites.expectPointsExact();
    // Of some 240 KB, the first primary has sent a third.
    expect(sites.primary!.peer.totals.bytesSent).to.be.lessThan(240_000);
    await sites.close();
  });

  it('more volumes than the link takes parcels are all copied', async () => {
    // Found by review: from the ninth volume on, sending failed with the link's limit and was begun anew every 5 s.
    const names = Array.from({ length: 20 }, (_, i) => [`volume-${i}`, 4] as const);
    const sites = new TwoSites(new Seeded(7), names);
    for (const volume of sites.volumes) volume.write(1, sites.seeded.bytes(BLOCK));
    await sites.startBackup();
    await sites.startPrimary();
    const states: StateId[] = [];
    for (const volume of sites.volumes) states.push(await sites.seal(volume));
    for (const [i, volume] of sites.volumes.entries()) {
      await sites.untilAt(states[i]!, volume);
      expect(await sites.expectPointsExact(volume)).to.equal(1);
    }
    expect(sites.told.filter((text) => text.startsWith('error'))).to.be.empty;
    await sites.close();
  });

  it('both sides stop in mid-transfer, and nothing waits behind them', async () => {
    const sites = await running(8, 64, 60);
    await sites.seal();
    await sites.clock.pass(5000);
    await sites.close();
    // What is on the wire still falls out of its end.
    await sites.clock.pass(1000);
    expect(sites.clock.waiting).to.equal(0);
  });
});

describe('a state wanted while another is being applied', () => {
  it('travels next, and is no conflict', async () => {
    // Found by a random course: the session's first word of the copy was believed after its base was let go.
    const sites = await running(31);
    await sites.untilAt(await sites.seal());
    sites.volume.write(1, sites.seeded.bytes(BLOCK));
    const second = await sites.seal();
    await sites.clock.until('it is durable', () => sites.replicator.view.base?.id === second);
    const third = await sites.seal();
    await sites.untilAt(third);
    expect(sites.told.filter((text) => text.startsWith('error'))).to.be.empty;
    expect(await sites.expectPointsExact()).to.equal(3);
    await sites.close();
  });
});

describe('a snapshot that spoils while it travels', () => {
  it('is given up for a fresh one', async () => {
    const sites = await running(11, 256, 240);
    const first = await sites.seal();
    sites.volume.spoil(first);
    await sites.clock.until('another was taken', () => sites.volume.seals === 2);
    await sites.untilAt([...sites.volume.history.keys()].at(-1)!);
    expect(await sites.expectPointsExact()).to.equal(1);
    await sites.close();
  });

  it('is given up for the one that waits, where there is one', async () => {
    // Found by a random course: a fresh one was taken, and the older one that waited was offered after it.
    const sites = await running(15, 256, 240);
    const first = await sites.seal();
    await sites.clock.pass(1000);
    const second = await sites.seal();
    sites.volume.grow(3);
    sites.volume.spoil(first);
    await sites.untilAt(second);
    expect(sites.volume.seals).to.equal(2);
    expect(await sites.expectPointsExact()).to.equal(1);
    await sites.close();
  });

  it('and one that was sealed just before the fresh one does not follow it', async () => {
    const sites = await running(16);
    await sites.untilAt(await sites.seal());
    sites.killPrimary();
    sites.volume.write(1, sites.seeded.bytes(BLOCK));
    await sites.seal();
    sites.volume.grow(3);
    const { id } = await sites.volume.seal({ grade: 'crash', pinAs: [`travel:${BACKUP}`] });
    await sites.startPrimary();
    await sites.untilAt(id);
    await sites.clock.pass(10_000);
    expect(sites.copyOf()).to.equal(id);
    expect(Object.keys(sites.volume.pins)).to.deep.equal([`base:${BACKUP}`]);
    expect(sites.told.filter((text) => text.startsWith('error'))).to.be.empty;
    expect(await sites.expectPointsExact()).to.equal(2);
    await sites.close();
  });

  it('is given up for one that keeps the rules of the volume, where there are some', async () => {
    const sites = await running(14, 256, 240);
    const taken: string[] = [];
    sites.snapshot = async () => {
      // It may take its time; nothing else is sealed meanwhile.
      await new Promise<void>((resolve) => sites.clock.after(20_000, resolve));
      taken.push(await sites.seal());
    };
    sites.killPrimary();
    await sites.startPrimary();
    sites.volume.spoil(await sites.seal());
    await sites.clock.until('another was taken', () => taken.length > 0);
    await sites.untilAt([...sites.volume.history.keys()].at(-1)!);
    expect(taken).to.deep.equal([[...sites.volume.history.keys()].at(-1)]);
    expect(sites.volume.seals).to.equal(2);
    await sites.close();
  });

  it('is not replaced again and again without a pause', async () => {
    const sites = await running(12);
    sites.volume.spoilsEverything = true;
    await sites.seal();
    await sites.clock.pass(60_000);
    expect(sites.volume.seals).to.be.within(4, 16);
    await sites.close();
  });

  it('is kept while it is not known what the backup has got of it', async () => {
    const sites = await running(13);
    sites.modem.cut();
    const state = await sites.seal();
    sites.volume.spoil(state);
    await sites.clock.pass(60_000);
    expect(sites.volume.seals).to.be.at.most(2);
    sites.modem.restore();
    await sites.clock.until('another was taken', () => sites.volume.seals > 1);
    await sites.untilAt([...sites.volume.history.keys()].at(-1)!);
    await sites.close();
  });
});

describe('a random course of writes, drops, kills and damage', function () {
  const isSoak = process.env['FARCOPY_SOAK'] === '1';
  const courses = isSoak ? 1500 : 40;
  this.timeout(isSoak ? 0 : 120_000);

  it('leaves a copy that equals a state, and ends at the newest', async () => {
    const seed = seedOfThisRun();
    console.log(`      SEED=${seed}`);
    for (let course = 0; course < courses; course++) {
      await runCourse(seed + course).catch((cause: unknown) => {
        throw new Error(`course with SEED=${seed + course}: ${(cause as Error).message}`, { cause });
      });
    }
  });
});

/** Some steps of a life, then a calm end: all volumes must arrive at a last state. */
async function runCourse(seed: number): Promise<void> {
  const random = new Seeded(seed);
  const names = random.chance(0.3) ? ['ledger', 'books', 'mail'] : ['ledger'];
  const sites = new TwoSites(
    random,
    names.map((name) => [name, 8 + random.below(40)] as const),
  );
  if (random.chance(0.5)) sites.pending = { pending: 'newest', maxAgeMs: random.pick([0, 3_600_000]) };
  await sites.startBackup();
  await sites.startPrimary();
  for (let step = 4 + random.below(12); step > 0; step--) await takeStep(sites, random);
  // No machine stops any more.
  sites.killPrimary();
  sites.killBackup();
  sites.modem.restore();
  await reviveBoth(sites);
  for (const volume of sites.volumes) {
    const state = await sites.seal(volume);
    const last = (): StateId => [...volume.history.keys()].at(-1) ?? state;
    await sites.clock
      .until(`${volume.name} is at its last state`, () => sites.copyOf(volume) === last())
      .catch((cause: unknown) => {
        throw new Error(`${(cause as Error).message}; told: ${sites.told.slice(-12).join(' | ')}`);
      });
    await sites.expectPointsExact(volume);
  }
  const conflicts = sites.told.filter((text) => /does not know|another volume/.test(text));
  expect(conflicts, sites.told.join(' | ')).to.be.empty;
  await sites.close();
}

async function reviveBoth(sites: TwoSites): Promise<void> {
  if (sites.primaryFiles.hasCrashed) sites.killPrimary();
  if (sites.backupFiles.hasCrashed) sites.killBackup();
  if (sites.primary === null) await sites.startPrimary();
  if (sites.backup === null) await sites.startBackup();
}

async function takeStep(sites: TwoSites, random: Seeded): Promise<void> {
  const volume = random.pick(sites.volumes);
  const crashAt = random.chance(0.5) ? { crashAt: random.below(60) } : {};
  const hasCrashed = (): boolean => sites.primaryFiles.hasCrashed || sites.backupFiles.hasCrashed;
  switch (random.below(10)) {
    case 0:
      sites.modem.cut();
      break;
    case 1:
      if (random.chance(0.7)) sites.modem.cut();
      sites.killPrimary(crashAt);
      break;
    case 2:
      if (random.chance(0.7)) sites.modem.cut();
      if (random.chance(0.7)) sites.killBackup(crashAt);
      else sites.cutBackupPower();
      break;
    case 3:
      volume.grow(random.below(4));
      break;
    case 4:
      spoilTravelling(sites, random);
      break;
    case 5:
      damageSpool(sites, random);
      break;
    default:
      for (let i = random.below(12); i > 0; i--) {
        const bytes = random.chance(0.2) ? new Uint8Array(BLOCK) : random.bytes(BLOCK);
        volume.write(random.below(volume.blocks), bytes);
      }
      await sites.seal(volume);
  }
  await sites.clock.pass(random.below(random.pick([200, 3000, 20_000])), hasCrashed);
  if (random.chance(0.8)) sites.modem.restore();
  try {
    await reviveBoth(sites);
  } catch (error) {
    // It was to stop again while it was starting.
    if (!hasCrashed()) throw error;
    await reviveBoth(sites);
  }
  for (const each of sites.volumes) if (sites.backup !== null) await sites.expectPointsExact(each);
}

/** Only of a set that the backup has not: a state that has arrived is no matter of the volume any more. */
function spoilTravelling(sites: TwoSites, random: Seeded): void {
  const volume = random.pick(sites.volumes);
  const travelling = volume.pins['travel:vault'];
  if (travelling !== undefined && volume.pins['base:vault'] !== travelling) volume.spoil(travelling);
}

function damageSpool(sites: TwoSites, random: Seeded): void {
  const paths = sites.primaryFiles.paths('/spool');
  if (paths.length === 0) return;
  const content = sites.primaryFiles.contentOf(random.pick(paths));
  if (content.byteLength > 0) content[random.below(content.byteLength)]! ^= 1 << random.below(8);
}
