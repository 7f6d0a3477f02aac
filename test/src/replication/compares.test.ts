import { expect } from 'chai';
import type { StateId } from '../../../protocol/units.js';
import type { VolumeStore } from '../../../src/store/volume-store.js';
import { BackupControl } from '../../../src/appliance/backup-control.js';
import type { PrimaryPolls } from '../../../src/appliance/primary-polls.js';
import type { SilenceWatch } from '../../../src/appliance/silence-watch.js';
import { ScrubRecords } from '../../../src/control/scrub-records.js';
import { StoredPoints } from '../../../src/control/stored-points.js';
import { VolumeError } from '../../../src/engine/errors.js';
import { ImageComparison } from '../../../src/replication/compare-target.js';
import { Seeded, seedOfThisRun } from '../../support/seeded.js';
import { MemoryFiles } from '../../support/memory-files.js';
import { BLOCK } from './model-volume.js';
import { PRIMARY, TwoSites } from './two-sites.js';

/** A volume and its copy at the same state. */
function inStep(seed: number, blocks = 300, filled = 20): Promise<TwoSites> {
  const written = Array.from({ length: filled }, (_, i) => i * 3);
  return TwoSites.inStep(seed, blocks, written);
}

async function compared(sites: TwoSites): Promise<string> {
  let ended = '';
  void sites.replicator.compare(new AbortController().signal).then((outcome) => {
    ended = outcome.kind === 'compared' ? `${outcome.blocks} blocks` : outcome.text;
  });
  await sites.clock.until('the compare has ended', () => ended !== '');
  return ended;
}

/** The blocks of a copy's states that are read from now on. */
function watchStore(store: VolumeStore): Set<number> {
  const read = new Set<number>();
  const open = store.openState.bind(store);
  store.openState = async (state) => {
    const reader = await open(state);
    const plain = reader.read.bind(reader);
    reader.read = (into, position) => {
      for (let at = 0; at < into.byteLength; at += BLOCK) read.add((position + at) / BLOCK);
      return plain(into, position);
    };
    return reader;
  };
  return read;
}

/** What the backup's operator sees of distrust and compares. */
async function atBackup({ backup }: TwoSites): Promise<{ warnings: readonly string[]; events: string[] }> {
  const { store, site, ports, events } = backup!;
  const polls = { meters: [], status: () => null } as unknown as PrimaryPolls;
  const silence = { lastHeard: () => null, isSilent: () => false } as unknown as SilenceWatch;
  const points = new StoredPoints(store);
  const scrubs = new ScrubRecords(new MemoryFiles(), '/scrubs.json');
  const seeds = { seedImport: () => Promise.reject(new Error('not asked for here')) };
  const control = new BackupControl({
    ...{ name: 'vault', store, points, scrubs, seeds, site, ports, polls: () => polls, silence, events },
  });
  const status = await control.status();
  const compares = status.events.filter(({ text }) => /does not trust|has compared/.test(text));
  return {
    warnings: status.volumes[0]?.warnings ?? [],
    events: compares.map(({ level, text }) => `${level}: ${text}`),
  };
}

const isDistrusted = ({ backup }: TwoSites): boolean => backup!.store.volumes()[0]?.distrust != null;

/** Blocks in the set that led to the copy's newest state. */
async function sent(sites: TwoSites): Promise<number | undefined> {
  return (await sites.backup!.store.volume(PRIMARY, 'ledger')).points()[0]?.blocks;
}

describe('a volume that is compared with its copy', () => {
  it('is found equal, and no new state is made of it', async () => {
    const sites = await inStep(1);
    const before = sites.copyOf();
    const isComparing = (): boolean => sites.backup!.site.session(PRIMARY)?.session.isComparing === true;
    const outcome = compared(sites);
    await sites.clock.until('the backup is comparing', isComparing);
    expect(await outcome).to.equal('0 blocks');
    await sites.clock.until('the backup has heard the end', () => !isComparing());
    expect(sites.copyOf()).to.equal(before);
    expect(Object.keys(sites.volume.pins)).to.deep.equal(['base:vault']);
    // The next set starts from what was compared.
    sites.volume.write(7, sites.seeded.bytes(BLOCK));
    await sites.untilAt(await sites.seal());
    expect(await sent(sites)).to.equal(1);
    expect(await sites.expectPointsExact()).to.equal(2);
    await sites.close();
  });

  it('one that fails on the primary is over for the backup too, and is made again', async () => {
    const sites = await inStep(20);
    const { volume } = sites;
    const digests = volume.digests.bind(volume);
    volume.digests = () => Promise.reject(new VolumeError('io', 'the disk does not answer'));
    // Of this call: the end of it would be the end of the compare too.
    const isComparing = (): boolean | undefined => sites.backup!.site.session(PRIMARY)?.session.isComparing;
    const outcome = compared(sites);
    await sites.clock.until('the backup is comparing', () => isComparing() === true);
    await sites.clock.until('the backup has heard the end', () => isComparing() === false);
    volume.digests = digests;
    expect(await outcome).to.equal('0 blocks');
    expect(sites.timesTold(/a compare has failed/)).to.equal(1);
    await sites.close();
  });

  it('what differs is marked, and goes with the next set although the process is killed in between', async () => {
    const sites = await inStep(2);
    sites.volume.write(4, sites.seeded.bytes(BLOCK));
    sites.volume.write(200, sites.seeded.bytes(BLOCK));
    expect(await compared(sites)).to.equal('2 blocks');
    sites.killPrimary();
    await sites.startPrimary();
    sites.volume.write(5, sites.seeded.bytes(BLOCK));
    await sites.untilAt(await sites.seal());
    expect(await sent(sites)).to.equal(3);
    expect(await sites.expectPointsExact()).to.equal(2);
    await sites.close();
  });

  it('waits for what travels, goes on after a cut of the line, and begins anew after a kill', async () => {
    const sites = await inStep(3);
    for (let block = 0; block < 40; block++) sites.volume.write(block, sites.seeded.bytes(BLOCK));
    const travelling = await sites.seal();
    await sites.clock.pass(1500);
    let ended = '';
    void sites.replicator.compare(new AbortController().signal).then((outcome) => (ended = outcome.kind));
    await sites.clock.pass(100);
    expect(sites.replicator.view.comparing).to.equal(null);
    await sites.clock.until('the compare runs', () => sites.replicator.view.comparing !== null);
    expect(sites.copyOf()).to.equal(travelling);
    sites.modem.cut();
    await sites.clock.pass(5000);
    expect(sites.replicator.view.comparing).to.equal(null);
    sites.modem.restore();
    await sites.clock.until('the compare has ended', () => ended !== '');
    expect(ended).to.equal('compared');
    await sites.close();
  });

  it('after doubt only what differs is sent, and the doubt is over', async () => {
    const sites = await inStep(4);
    sites.volume.scribble(9, sites.seeded.bytes(BLOCK));
    await sites.untilAt(await sites.seal());
    expect(await sent(sites)).to.equal(1);
    expect(sites.timesTold(/may have gone unnoticed/)).to.equal(1);
    expect((await sites.volume.describe()).distrusted).to.deep.equal({});
    expect(await sites.expectPointsExact()).to.equal(2);
    await sites.close();
  });

  it('after a power cut only the extents in doubt are read, on both sides, and what is marked goes too', async () => {
    const sites = await inStep(12, 900, 200);
    const { volume } = sites;
    const read = watchStore(await sites.backup!.store.volume(PRIMARY, 'ledger'));
    const within = [volume.tear(100, sites.seeded.bytes(BLOCK)), volume.tear(800, sites.seeded.bytes(BLOCK))];
    // One as the copy has it, one that was noticed, and one that was noticed in an extent in doubt.
    volume.tear(303, volume.content.slice(303 * BLOCK, 304 * BLOCK));
    within.push({ start: 296, end: 304 });
    volume.write(700, sites.seeded.bytes(BLOCK));
    volume.write(101, sites.seeded.bytes(BLOCK));
    await sites.untilAt(await sites.seal());
    const inDoubt = (block: number): boolean =>
      within.some(({ start, end }) => block >= start && block < end);
    expect([...volume.digested].filter((block) => !inDoubt(block))).to.deep.equal([]);
    expect(volume.digested.size).to.equal(24);
    expect([...read].filter((block) => !inDoubt(block))).to.deep.equal([]);
    // The copy has data in every third block; the rest are holes.
    expect([...read].sort((a, b) => a - b)).to.deep.equal([96, 99, 102, 297, 300, 303]);
    expect(await sent(sites)).to.equal(4);
    expect(sites.timesTold(/where it was in doubt: 3 blocks differ/)).to.equal(1);
    expect((await volume.describe()).distrusted).to.deep.equal({});
    expect(await sites.expectPointsExact()).to.equal(2);
    await sites.close();
  });

  /** Copies are compared in vain while `work` goes on: the backup hears why, and never tells its root. */
  async function whileNoRootComes(work: () => Promise<void>): Promise<void> {
    const begin = ImageComparison.begin.bind(ImageComparison);
    ImageComparison.begin = (request, store, _say, ...rest) =>
      begin(request, store, () => undefined, ...rest);
    try {
      await work();
    } finally {
      ImageComparison.begin = begin;
    }
  }

  it('the backup tells its operator what the primary distrusts, until it was compared, also over a restart', async () => {
    const sites = await inStep(16);
    const { volume } = sites;
    expect(await compared(sites)).to.equal('0 blocks');
    expect(await atBackup(sites)).to.deep.equal({ warnings: [], events: [] });
    volume.tear(9, sites.seeded.bytes(BLOCK));
    const first = sites.copyOf();
    await whileNoRootComes(async () => {
      await sites.seal();
      await sites.clock.until('the backup was told', () => isDistrusted(sites));
      sites.modem.cut();
      await sites.clock.pass(60_000);
    });
    const told = await atBackup(sites);
    expect(told.events).to.have.length(1);
    expect(told.events[0]).to.match(
      /^warning: branch\/ledger: .*does not trust .*\(a power cut\); it compares/,
    );
    sites.killBackup();
    await sites.startBackup();
    expect(sites.copyOf()).to.equal(first);
    const { warnings } = await atBackup(sites);
    expect(warnings).to.have.length(1);
    expect(warnings[0]).to.match(/^since 20.*does not trust .*\(a power cut\)/);
    sites.modem.restore();
    await sites.untilAt(await sites.seal());
    expect(await atBackup(sites)).to.deep.equal({
      warnings: [],
      events: [
        'warning: branch/ledger: the primary has compared its volume with this copy: 1 block differs, sent anew',
      ],
    });
    await sites.close();
  });

  it('is of just what is in doubt, however often it was paused before it was answered', async () => {
    // Found by review: a pause counted as a backup that does not know of such compares.
    const sites = await inStep(19);
    sites.volume.tear(9, sites.seeded.bytes(BLOCK));
    await whileNoRootComes(async () => {
      await sites.seal();
      for (let times = 0; times < 2; times++) {
        await sites.clock.until('a compare is under way', () => sites.replicator.view.comparing !== null);
        await sites.clock.pass(2000);
        await sites.replicator.pause();
        expect(sites.replicator.view.comparing).to.equal(null);
        await sites.replicator.resume();
      }
      sites.modem.cut();
      await sites.clock.pass(60_000);
    });
    sites.modem.restore();
    await sites.untilAt(await sites.seal());
    expect(sites.timesTold(/where it was in doubt: 1 block differs/)).to.equal(1);
    await sites.close();
  });

  it('a set that follows tells the backup that a compare it heard no end of is over', async () => {
    const sites = await inStep(18);
    sites.volume.tear(9, sites.seeded.bytes(BLOCK));
    await whileNoRootComes(async () => {
      await sites.seal();
      for (let session = 0; session < 2; session++) {
        await sites.clock.until('a compare is under way', () => sites.replicator.view.comparing !== null);
        await sites.clock.pass(2000);
        sites.modem.cut();
        await sites.clock.pass(60_000);
        expect(isDistrusted(sites)).to.equal(true);
        sites.modem.restore();
      }
    });
    // Two were not answered: the third is one that every backup knows, and says nothing of why or what it found.
    await sites.untilAt(await sites.seal());
    const { warnings, events } = await atBackup(sites);
    expect(warnings).to.deep.equal([]);
    expect(events).to.have.length(1);
    await sites.close();
  });

  it('the backup tells of a copy that its primary does not know', async () => {
    const sites = await inStep(17);
    sites.killPrimary();
    sites.volume.forgetAll();
    await sites.startPrimary();
    await sites.untilAt(await sites.seal());
    const { warnings, events } = await atBackup(sites);
    expect(warnings).to.deep.equal([]);
    expect(events).to.have.length(2);
    expect(events[0]).to.match(/does not trust .*\(the primary does not know the state/);
    expect(events[1]).to.match(/^info: .*: nothing differs$/);
    await sites.close();
  });

  it('after a power cut all is compared with a backup that knows of nothing else', async () => {
    const sites = await inStep(14);
    const read = watchStore(await sites.backup!.store.volume(PRIMARY, 'ledger'));
    const begin = ImageComparison.begin.bind(ImageComparison);
    let confined = 0;
    ImageComparison.begin = ({ within, why, ...request }, ...rest) => {
      if (within !== undefined && why !== undefined) confined++;
      return begin(request, ...rest);
    };
    try {
      sites.volume.tear(9, sites.seeded.bytes(BLOCK));
      sites.volume.write(200, sites.seeded.bytes(BLOCK));
      await sites.untilAt(await sites.seal());
    } finally {
      ImageComparison.begin = begin;
    }
    expect(confined).to.equal(1);
    expect(sites.timesTold(/where it was in doubt/)).to.equal(0);
    expect(sites.timesTold(/: 2 blocks differ/)).to.equal(1);
    expect(sites.volume.digested.size).to.equal(300);
    expect(read.size).to.be.greaterThan(15);
    expect(await sent(sites)).to.equal(2);
    expect(await sites.expectPointsExact()).to.equal(2);
    await sites.close();
  });

  it('after a power cut all is compared with a backup that ends calls in which anything else is asked', async () => {
    const sites = await inStep(15);
    const begin = ImageComparison.begin.bind(ImageComparison);
    let confined = 0;
    ImageComparison.begin = (request, ...rest) => {
      if (request.within === undefined) return begin(request, ...rest);
      confined++;
      sites.modem.cut();
      sites.clock.after(2000, () => sites.modem.restore());
      return Promise.reject(new Error('unheard of'));
    };
    try {
      sites.volume.tear(9, sites.seeded.bytes(BLOCK));
      await sites.untilAt(await sites.seal());
    } finally {
      ImageComparison.begin = begin;
    }
    expect(confined).to.equal(2);
    expect(await sent(sites)).to.equal(1);
    expect(await sites.expectPointsExact()).to.equal(2);
    await sites.close();
  });

  it('who asks for a compare while a part is compared gets one of everything', async () => {
    const sites = await inStep(13);
    sites.volume.tear(9, sites.seeded.bytes(BLOCK));
    sites.volume.lose(200);
    const state = await sites.seal();
    await sites.clock.until('the part is compared', () => sites.replicator.view.comparing !== null);
    expect(await compared(sites)).to.equal('1 blocks');
    expect(sites.timesTold(/in doubt: 1 block differs/)).to.equal(1);
    expect(sites.volume.digested.size).to.equal(300);
    expect(sites.copyOf()).to.equal(state);
    await sites.untilAt(await sites.seal());
    expect(await sent(sites)).to.equal(1);
    await sites.close();
  });

  it('is compared when its copy was last written by an opening it does not descend from, once', async () => {
    const sites = await inStep(11);
    const { volume } = sites;
    const met = async (): Promise<string | null | undefined> =>
      (await sites.backup!.store.volume(PRIMARY, 'ledger')).status().opening;
    expect(await met()).to.equal('0000000000000001');
    // Openings that follow each other are none to wonder about.
    sites.killPrimary();
    volume.openings = ['0000000000000002', ...volume.openings];
    await sites.startPrimary();
    volume.write(4, sites.seeded.bytes(BLOCK));
    await sites.untilAt(await sites.seal());
    expect(await met()).to.equal('0000000000000002');
    expect(sites.timesTold(/was last written from a later state/)).to.equal(0);
    // The state folder of before that opening is put back, at the state the copy is at: what was marked since is lost.
    sites.killPrimary();
    volume.openings = ['0000000000000003', '0000000000000001'];
    volume.lose(5);
    await sites.startPrimary();
    await sites.untilAt(await sites.seal());
    expect(sites.timesTold(/was last written from a later state/)).to.equal(1);
    expect(await sent(sites)).to.equal(1);
    expect(await met()).to.equal('0000000000000003');
    volume.write(6, sites.seeded.bytes(BLOCK));
    sites.killPrimary();
    volume.openings = ['0000000000000004', ...volume.openings];
    await sites.startPrimary();
    await sites.untilAt(await sites.seal());
    expect(sites.timesTold(/was last written from a later state/)).to.equal(1);
    expect(await sites.expectPointsExact()).to.equal(4);
    await sites.close();
  });

  it('a set that was half spooled before the doubt does not travel', async () => {
    const sites = await inStep(7, 120, 5);
    const first = sites.copyOf();
    sites.modem.cut();
    await sites.clock.pass(60_000);
    for (let block = 0; block < 100; block++) sites.volume.write(block, new Uint8Array(BLOCK).fill(1));
    sites.volume.lose(5, new Uint8Array(BLOCK).fill(1));
    const state = await sites.seal();
    const parcels = (): number =>
      sites.primaryFiles.paths('/spool').filter((path) => path.endsWith('.parcel')).length;
    await sites.clock.until('two parcels are spooled', () => parcels() === 2);
    expect(sites.copyOf()).to.equal(first);
    // The first parcel lacks block 5, and only now it is known that something may be lacking.
    sites.volume.doubt(1);
    sites.modem.restore();
    await sites.untilAt(state);
    expect(await sent(sites)).to.equal(100);
    expect(await sites.expectPointsExact()).to.equal(2);
    await sites.close();
  });

  it('a snapshot that was to travel and is older than the compared one gives way to it', async () => {
    const sites = await inStep(8);
    const { volume } = sites;
    const seal = volume.seal.bind(volume);
    let overtaken: StateId | null = null;
    volume.seal = async (request) => {
      if (request.pinAs.includes('compare:vault')) {
        overtaken = (await seal({ grade: 'application', pinAs: ['next:vault'] })).id;
        volume.write(11, volume.seeded.bytes(BLOCK));
      }
      return seal(request);
    };
    const before = sites.copyOf();
    expect(await compared(sites)).to.equal('1 blocks');
    await sites.clock.until('the copy has moved', () => sites.copyOf() !== before);
    expect(sites.copyOf()).not.to.equal(overtaken);
    expect(await sites.expectPointsExact()).to.equal(2);
    await sites.close();
  });

  it('a copy in a state that is not known is compared, loudly, and keeps that state as a restore point', async () => {
    const sites = await inStep(5);
    sites.killPrimary();
    sites.volume.forgetAll();
    sites.volume.write(0, sites.seeded.bytes(BLOCK));
    sites.volume.write(299, sites.seeded.bytes(BLOCK));
    await sites.startPrimary();
    await sites.untilAt(await sites.seal());
    expect(await sent(sites)).to.equal(2);
    expect(sites.timesTold(/^error: .*does not know/)).to.equal(1);
    expect(await sites.expectPointsExact()).to.equal(2);
    await sites.close();
  });

  it('a snapshot that cannot be read any more is compared no further: a fresh one takes its place', async () => {
    const sites = await inStep(6);
    sites.killPrimary();
    sites.volume.forgetAll();
    sites.volume.write(30, sites.seeded.bytes(BLOCK));
    sites.volume.spoil(await sites.seal());
    await sites.startPrimary();
    const first = sites.copyOf();
    await sites.clock.until('the copy has moved', () => sites.copyOf() !== first);
    expect(await sent(sites)).to.equal(1);
    expect(await sites.expectPointsExact()).to.equal(2);
    await sites.close();
  });

  it('through cuts, kills at any file action, lost knowledge and doubt, every state arrives as it was', async function () {
    this.timeout(3_600_000);
    const seed = seedOfThisRun();
    const runs = process.env['FARCOPY_SOAK'] === undefined ? 8 : 300;
    console.log(`      SEED=${seed}`);
    for (let run = 0; run < runs; run++) {
      await rough(new Seeded(seed + run)).catch((cause: unknown) => {
        throw new Error(`SEED=${seed + run}: ${(cause as Error).message}`, { cause });
      });
    }
  });
});

async function rough(random: Seeded): Promise<void> {
  const sites = await inStep(random.word(), 64 + random.below(300));
  const { volume } = sites;
  let last: StateId = await sites.seal();
  for (let step = 3 + random.below(6); step > 0; step--) {
    for (let i = random.below(12); i > 0; i--) volume.write(random.below(volume.blocks), random.bytes(BLOCK));
    if (random.chance(0.25)) volume.scribble(random.below(volume.blocks), random.bytes(BLOCK));
    if (random.chance(0.5)) volume.tear(random.below(volume.blocks), random.bytes(BLOCK));
    if (random.chance(0.3)) {
      sites.killPrimary();
      volume.forgetAll();
      await sites.startPrimary();
    }
    if (random.chance(0.1)) volume.grow(1 + random.below(40));
    if (random.chance(0.3)) sites.replicator.compare(new AbortController().signal).catch(() => undefined);
    last = await sites.seal();
    await sites.disturb(random);
    await sites.expectPointsExact();
  }
  sites.killPrimary();
  sites.killBackup();
  await sites.revive();
  last = await sites.seal();
  await sites.clock
    .until('the last state has arrived', () => {
      const held = volume.history.get(sites.copyOf() ?? last);
      return held !== undefined && Buffer.compare(held, volume.history.get(last)!) === 0;
    })
    .catch((cause: unknown) => {
      throw new Error(`${(cause as Error).message}; told: ${sites.told.slice(-12).join(' | ')}`);
    });
  await sites.expectPointsExact();
  await sites.close();
}
