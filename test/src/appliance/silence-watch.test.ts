import { expect } from 'chai';
import { HeardRecord } from '../../../src/appliance/heard-record.js';
import { EventLog } from '../../../src/appliance/event-log.js';
import { SilenceWatch } from '../../../src/appliance/silence-watch.js';
import type { PrimaryPeer } from '../../../src/config/configuration.js';
import type { Millis, WallTime } from '../../../protocol/units.js';
import { CrashFiles } from '../../support/crash-files.js';
import { silentLog } from '../../../src/platform/log.js';
import { VirtualClock } from '../../support/virtual-clock.js';

const PATH = '/state/heard.json';
const HOUR = 3_600_000;

const peer = (name: string, silentAfterMs: number | null): PrimaryPeer => ({
  name,
  publicKey: new Uint8Array(32),
  keep: null,
  drill: null,
  scrub: null,
  silentAfterMs,
  poll: null,
});

/** A clock that goes on where an earlier process left off, its own monotonic time beginning anew. */
class LaterClock extends VirtualClock {
  constructor(readonly since: WallTime) {
    super();
  }
  override wall(): WallTime {
    return (this.since + this.now()) as WallTime;
  }
}

class Backup {
  readonly heard = new Map<string, Millis>();
  readonly connected = new Set<string>();
  primaries: readonly PrimaryPeer[] = [peer('branch', 26 * HOUR), peer('shop', null)];
  readonly events: EventLog;
  #watch: SilenceWatch | null = null;

  constructor(
    readonly files: CrashFiles,
    readonly clock: VirtualClock,
  ) {
    this.events = new EventLog(clock, silentLog);
  }

  static async start(files: CrashFiles, clock: VirtualClock): Promise<Backup> {
    const backup = new Backup(files, clock);
    backup.#watch = await SilenceWatch.start({
      primaries: () => backup.primaries,
      heardAt: (primary) => backup.heard.get(primary) ?? null,
      isConnected: (primary) => backup.connected.has(primary),
      record: new HeardRecord(files, PATH),
      events: backup.events,
      clock,
      log: silentLog,
    });
    return backup;
  }

  get watch(): SilenceWatch {
    if (this.#watch === null) throw new Error('not started');
    return this.#watch;
  }

  hear(primary: string): void {
    this.heard.set(primary, this.clock.now());
  }

  told(): readonly string[] {
    return this.events.events.map(({ level, text }) => `${level}: ${text.replace(/ \(.*/, '')}`);
  }
}

async function disk(): Promise<CrashFiles> {
  const files = new CrashFiles();
  await files.makeFolder('/state');
  return files;
}

describe('a primary that falls silent', () => {
  it('is told of once, and again when it is heard', async () => {
    const backup = await Backup.start(await disk(), new VirtualClock());
    backup.hear('branch');
    await backup.clock.pass(25.9 * HOUR);
    expect(backup.told()).to.deep.equal([]);
    expect(backup.watch.isSilent('branch')).to.equal(false);
    await backup.clock.pass(20 * HOUR);
    expect(backup.told()).to.deep.equal(['error: nothing was heard of branch for 1 d 2 h']);
    expect(backup.watch.isSilent('branch')).to.equal(true);
    backup.hear('branch');
    await backup.clock.pass(HOUR);
    expect(backup.told().slice(1)).to.deep.equal(['info: branch is heard again, after 1 d 21 h of silence']);
    expect(backup.watch.isSilent('branch')).to.equal(false);
    await backup.watch.close();
    expect(backup.clock.waiting).to.equal(0);
  });

  it('is not told to be heard again when it may be silent for longer, or is configured anew', async () => {
    const backup = await Backup.start(await disk(), new VirtualClock());
    backup.hear('branch');
    await backup.clock.pass(30 * HOUR);
    expect(backup.told()).to.have.length(1);
    backup.primaries = [peer('branch', 90 * HOUR)];
    await backup.clock.pass(HOUR);
    expect(backup.watch.isSilent('branch')).to.equal(false);
    await backup.clock.pass(60 * HOUR);
    expect(backup.told()).to.have.length(2);
    backup.primaries = [];
    backup.heard.clear();
    await backup.clock.pass(HOUR);
    expect(backup.watch.isSilent('branch')).to.equal(false);
    backup.primaries = [peer('branch', 90 * HOUR)];
    await backup.clock.pass(HOUR);
    expect(backup.told().filter((text) => text.startsWith('info'))).to.deep.equal([]);
    await backup.watch.close();
  });

  it('is not told of while a session is up in which there is only little to say', async () => {
    const backup = await Backup.start(await disk(), new VirtualClock());
    backup.primaries = [peer('branch', 2000)];
    backup.connected.add('branch');
    for (let minute = 0; minute < 10; minute++) {
      backup.hear('branch');
      await backup.clock.pass(60_000);
    }
    expect(backup.told()).to.deep.equal([]);
    await backup.clock.pass(150_000);
    expect(backup.told().length).to.equal(1);
    await backup.watch.close();
  });

  it('without silentAfter is never told of', async () => {
    const backup = await Backup.start(await disk(), new VirtualClock());
    backup.primaries = [peer('shop', null)];
    await backup.clock.pass(400 * HOUR);
    expect(backup.told()).to.deep.equal([]);
    await backup.watch.close();
  });

  it('counts from when it was first known if it never called', async () => {
    const backup = await Backup.start(await disk(), new VirtualClock());
    await backup.clock.pass(10 * HOUR);
    backup.primaries = [...backup.primaries, peer('new', 26 * HOUR)];
    await backup.clock.pass(17 * HOUR);
    expect(backup.told()).to.deep.equal(['error: nothing was heard of branch for 1 d 2 h']);
    await backup.clock.pass(10 * HOUR);
    expect(backup.told().at(-1)).to.equal('error: nothing was heard of new for 1 d 2 h');
    expect(backup.watch.lastHeard('new')).to.equal(null);
    await backup.watch.close();
  });

  for (const ending of ['a clean stop', 'a kill'] as const) {
    it(`goes on being silent over ${ending}`, async () => {
      const first = await Backup.start(await disk(), new VirtualClock());
      first.hear('branch');
      await first.clock.pass(20 * HOUR);
      const heard = first.watch.lastHeard('branch');
      if (ending === 'a clean stop') await first.watch.close();
      const later = (first.clock.wall() + 5 * HOUR) as WallTime;
      const second = await Backup.start(first.files.killed(), new LaterClock(later));
      expect(second.told()).to.deep.equal([]);
      expect(second.watch.lastHeard('branch')).to.equal(heard);
      await second.clock.pass(1.1 * HOUR);
      expect(second.told()).to.deep.equal(['error: nothing was heard of branch for 1 d 2 h']);
      await second.watch.close();
    });
  }

  it('is told of in its time after a start with a clock that was put back', async () => {
    const files = await disk();
    const first = await Backup.start(files, new VirtualClock());
    first.hear('branch');
    await first.watch.close();
    const earlier = await Backup.start(files, new LaterClock(1_000_000_000_000 as WallTime));
    await earlier.clock.pass(20 * HOUR);
    expect(earlier.told()).to.deep.equal([]);
    await earlier.clock.pass(7 * HOUR);
    expect(earlier.told()).to.deep.equal(['error: nothing was heard of branch for 1 d 2 h']);
    await earlier.watch.close();
  });

  it('is forgotten when it is taken out of the configuration', async () => {
    const backup = await Backup.start(await disk(), new VirtualClock());
    backup.hear('branch');
    backup.primaries = [];
    await backup.watch.close();
    expect((await new HeardRecord(backup.files, PATH).read()).size).to.equal(0);
  });

  it('a record that cannot be understood counts as none', async () => {
    const files = await disk();
    const noDate = '{"branch":{"since":1,"heard":8640000000000001}}';
    for (const text of [
      '',
      '{',
      '{"magic":"farcopy heard","version":2,"primaries":{}}',
      `{"magic":"farcopy heard","version":1,"primaries":${noDate}}`,
      '[]',
    ]) {
      await files.replace(PATH, Buffer.from(text));
      const backup = await Backup.start(files, new VirtualClock());
      expect(backup.watch.lastHeard('branch')).to.equal(null);
      await backup.watch.close();
    }
  });
});
