import { expect } from 'chai';
import { ApplianceError } from '../../src/appliance/errors.js';
import type { ApplianceStatus } from '../../src/appliance/status.js';
import type { PointSummary, SyncResult } from '../../src/control/appliance-control.js';
import { runTui } from '../../tui/app.js';
import { KEYMAP } from '../../tui/keymap.js';
import type { Operated } from '../../tui/operated.js';
import { settle, VirtualClock } from '../support/virtual-clock.js';
import { FakeTerminal } from './fake-terminal.js';
import { backup, event, link, primary, transfer, volume } from './statuses.js';

const SYNCED: SyncResult = {
  state: '7eb57d130000',
  grade: 'quiet',
  blocks: 12,
  bytesSent: 4096,
  bytesReceived: 10,
  bytesRepeated: 0,
  seconds: 4,
};

const POINT: PointSummary = {
  id: 'aaaabbbbcccc',
  primary: 'branch-12',
  volume: 'ledger',
  time: '2026-11-22T13:00:00Z',
  grade: 'quiet',
  sizeBytes: 1,
  blocks: 3,
  appliedAt: '2026-11-22T13:01:00Z',
};

/** An appliance that answers what it is told to and remembers what it was asked. */
class Scripted implements Operated {
  readonly asked: string[] = [];
  answer: () => Promise<ApplianceStatus>;
  outcome: () => Promise<SyncResult> = () => Promise.resolve(SYNCED);

  constructor(public current: ApplianceStatus) {
    this.answer = () => Promise.resolve(this.current);
  }
  status(): Promise<ApplianceStatus> {
    return this.answer();
  }
  sync(request: { volume: string; to?: string }): Promise<SyncResult> {
    this.asked.push(`sync ${request.volume} ${request.to ?? ''}`.trim());
    return this.outcome();
  }
  snapshot({ volume }: { volume: string }): ReturnType<Operated['snapshot']> {
    this.asked.push(`snapshot ${volume}`);
    return Promise.resolve({ state: 'abcdef012345', grade: 'application', time: '' });
  }
  points({ volume = '' }: { volume?: string }): Promise<readonly PointSummary[]> {
    this.asked.push(`points ${volume}`);
    return Promise.resolve([POINT]);
  }
}

/** One that can do everything. */
class Able extends Scripted {
  pause(request: { volume: string }): Promise<void> {
    return Promise.resolve(void this.asked.push(`pause ${request.volume}`));
  }
  resume(request: { volume: string }): Promise<void> {
    return Promise.resolve(void this.asked.push(`resume ${request.volume}`));
  }
  hangUp(request: { link: string }): Promise<void> {
    return Promise.resolve(void this.asked.push(`hang up ${request.link}`));
  }
  compare(request: { volume: string; to?: string }): Promise<{ equal: boolean; differing: number }> {
    this.asked.push(`compare ${request.volume} ${request.to ?? ''}`.trim());
    return Promise.resolve({ equal: false, differing: 3 });
  }
}

const TWO = primary({ volumes: [volume(), volume({ name: 'books' })] });

describe('the terminal UI', () => {
  interface Running {
    readonly control: Scripted;
    readonly terminal: FakeTerminal;
    readonly clock: VirtualClock;
    readonly stop: AbortController;
    readonly over: Promise<void>;
    /** Presses keys and lets what follows happen. */
    readonly press: (...keys: readonly string[]) => Promise<void>;
  }
  const running: Running[] = [];

  async function start(control: Scripted, owner = true): Promise<Running> {
    const terminal = new FakeTerminal();
    const clock = new VirtualClock();
    const stop = new AbortController();
    const over = runTui({ control, terminal, clock, owner, stop: stop.signal });
    await settle();
    const press = async (...keys: readonly string[]): Promise<void> => {
      for (const key of keys) {
        terminal.press(key);
        await settle();
      }
    };
    const it = { control, terminal, clock, stop, over, press };
    running.push(it);
    return it;
  }

  afterEach(async () => {
    for (const { stop, over, terminal, clock } of running.splice(0)) {
      stop.abort();
      await over;
      await settle();
      expect(terminal.closed, 'the terminal was given back').to.equal(true);
      expect(clock.waiting, 'timers left').to.equal(0);
    }
  });

  it('shows the appliance, and what is new a second later', async () => {
    const { terminal, control, clock } = await start(new Scripted(primary()));
    expect(terminal.text).to.contain('primary branch-12').and.to.contain('ledger');
    control.current = primary({ volumes: [volume({ transfer: transfer() })] });
    await clock.pass(1000);
    expect(terminal.text).to.contain('sending 25 %');
  });

  it('draws anew for another size', async () => {
    const { terminal } = await start(new Scripted(primary()));
    terminal.resize(120, 40);
    expect(terminal.rows).to.have.length(40);
    expect(terminal.rows[1]).to.have.length(0);
    expect(terminal.rows[2]).to.have.length(120);
  });

  it('moves the choice with the arrows, no further than there are volumes', async () => {
    const { terminal, press } = await start(new Scripted(TWO));
    expect(terminal.chosen).to.equal('ledger');
    await press('down', 'down', 'down');
    expect(terminal.chosen).to.equal('books');
    await press('up', 'up');
    expect(terminal.chosen).to.equal('ledger');
  });

  it('syncs the chosen volume and says how it went', async () => {
    const { terminal, control, press } = await start(new Scripted(TWO));
    await press('down', 's');
    expect(control.asked).to.deep.equal(['sync books']);
    expect(terminal.message).to.equal('books is safe as state 7eb57d13 (quiet): 12 blocks, 4 KiB sent, 4 s.');
  });

  it('does not begin the same sync twice', async () => {
    const control = new Scripted(TWO);
    control.outcome = () => new Promise(() => undefined);
    const { terminal, press } = await start(control);
    await press('s', 's');
    expect(control.asked).to.deep.equal(['sync ledger']);
    expect(terminal.message).to.equal('The sync of ledger is still under way.');
    await press('down', 's');
    expect(control.asked).to.deep.equal(['sync ledger', 'sync books']);
  });

  it('tells why a sync failed and what to do, and lets it be tried again', async () => {
    const control = new Scripted(TWO);
    control.outcome = () =>
      Promise.reject(new ApplianceError('peer-unreachable', 'vault cannot be reached', 'it is sent later'));
    const { terminal, press } = await start(control);
    await press('s');
    expect(terminal.message).to.equal('sync of ledger: vault cannot be reached (it is sent later)');
    await press('s');
    expect(control.asked).to.have.length(2);
  });

  it('asks which backup, where there are several', async () => {
    const peers = ['vault', 'attic'].map((name) => ({ name, link: null, lastHeard: null }));
    const { terminal, control, press } = await start(new Able({ ...TWO, peers }));
    await press('s');
    expect(terminal.dialog).to.contain('1  vault').and.to.contain('2  attic');
    await press('2', 'c', '1', 's', 'escape', 's', '7');
    expect(control.asked).to.deep.equal(['sync ledger attic', 'compare ledger vault']);
  });

  it('asks before it calls a state consistent', async () => {
    const { terminal, control, press } = await start(new Scripted(TWO));
    await press('n');
    expect(terminal.dialog).to.match(/with the grade\s+application/);
    await press('n');
    expect([terminal.dialog, ...control.asked]).to.deep.equal(['']);
    await press('n', 'y');
    expect(control.asked).to.deep.equal(['snapshot ledger']);
    expect(terminal.text).to.match(/ledger: sealed as state abcdef01 \(application\)/);
  });

  it('pauses a volume and lets it go on with the same key', async () => {
    const control = new Able(TWO);
    const { press } = await start(control);
    await press('p');
    control.current = primary({ volumes: [volume({ paused: true })] });
    await press('r', 'p');
    expect(control.asked).to.deep.equal(['pause ledger', 'resume ledger']);
  });

  it('hangs up the link that is up, or asks which', async () => {
    const control = new Able(TWO);
    const { terminal, press } = await start(control);
    await press('h');
    control.current = primary({ links: [link(), link({ name: 'vault: tcp' })] });
    await press('r', 'h', '2');
    control.current = primary({ links: [link({ state: 'waiting' })] });
    await press('r', 'h');
    expect(control.asked).to.deep.equal(['hang up vault: /dev/ttyS0', 'hang up vault: tcp']);
    expect(terminal.message).to.equal('No link is up.');
  });

  it('compares, and says how many blocks differed', async () => {
    const { terminal, press } = await start(new Able(TWO));
    await press('c');
    expect(terminal.message).to.equal('ledger: 3 blocks differed; they are sent again.');
  });

  for (const [key, what] of [
    ['p', 'pause'],
    ['h', 'hang up'],
    ['c', 'compare'],
  ] as const) {
    it(`says that this appliance cannot ${what} where it cannot`, async () => {
      const { terminal, press } = await start(new Scripted(TWO));
      await press(key);
      expect(terminal.message).to.equal(`This appliance cannot ${what} yet.`);
    });
  }

  it('leaves to the primary what is the primary’s', async () => {
    const { terminal, control, press } = await start(new Able(backup()));
    for (const [key, what] of Object.entries({
      s: 'A sync',
      c: 'A compare',
      n: 'A snapshot',
      p: 'A pause',
    })) {
      await press(key);
      expect(terminal.message).to.equal(`${what} is done on the primary.`);
    }
    expect(control.asked).to.deep.equal(['points branch-12/ledger']);
  });

  it('lists restore points again only for another copy, a new state, or when asked', async () => {
    const control = new Scripted(backup());
    const { terminal, clock, press } = await start(control);
    expect(terminal.text).to.contain('aaaabbbb');
    await clock.pass(5000);
    expect(control.asked).to.have.length(1);
    const lastState = { id: 'another', time: '2026-11-22T14:00:00Z', grade: 'quiet' as const };
    control.current = backup({ volumes: [volume({ name: 'branch-12/ledger', lastState })] });
    await clock.pass(1000);
    expect(control.asked).to.have.length(2);
    await press('r');
    expect(control.asked).to.have.length(3);
  });

  it('scrolls back through events, and holds still while new ones come', async () => {
    const events = Array.from({ length: 50 }, (_, at) => event(`event ${at}`));
    const control = new Scripted(primary({ events: events.slice(0, 40) }));
    const { terminal, clock, press } = await start(control);
    await press('pageup', 'pageup');
    expect(terminal.rows.at(-2)).to.match(/event 29$/);
    control.current = primary({ events });
    await clock.pass(1000);
    expect(terminal.rows.at(-2)).to.match(/event 29$/);
    await press(...Array.from({ length: 9 }, () => 'pagedown'));
    expect(terminal.rows.at(-2)).to.match(/event 49$/);
  });

  it('helps with every key there is', async () => {
    const { terminal, press } = await start(new Scripted(TWO));
    await press('?');
    for (const { shown, help, action } of KEYMAP) {
      if (action !== 'quit') expect(terminal.dialog).to.contain(`\n${shown.padEnd(6)}${help}`);
    }
    await press('x');
    expect(terminal.dialog).to.equal('');
  });

  it('quits within the appliance only after a yes', async () => {
    const { terminal, press, over } = await start(new Scripted(TWO));
    await press('q');
    expect(terminal.dialog).to.contain('Stop this appliance?');
    await press('n');
    expect([terminal.dialog, terminal.closed]).to.deep.equal(['', false]);
    await press('q', 'y');
    await over;
    expect(terminal.closed).to.equal(true);
  });

  it('takes a second Ctrl-C for a yes', async () => {
    const { press, over } = await start(new Scripted(TWO));
    await press('C-c', 'C-c');
    await over;
  });

  it('quits at once where it is only attached', async () => {
    const { press, over } = await start(new Scripted(TWO), false);
    await press('q');
    await over;
  });

  it('says that the appliance is gone, and comes back with it', async () => {
    const control = new Scripted(TWO);
    const { terminal, clock } = await start(control);
    control.answer = () => Promise.reject(new ApplianceError('stopped', 'no appliance is running'));
    await clock.pass(2000);
    expect(terminal.message).to.match(/^no appliance is running; trying again\. Shown: as of /);
    control.answer = () => Promise.resolve(TWO);
    await clock.pass(1000);
    expect(terminal.message).to.equal('');
  });

  it('says that the appliance is slow, and asks it no second time meanwhile', async () => {
    const control = new Scripted(TWO);
    const { terminal, clock } = await start(control);
    let questions = 0;
    control.answer = () => {
      questions++;
      return new Promise(() => undefined);
    };
    await clock.pass(20_000);
    expect(terminal.message).to.match(/^The appliance is slow to answer\./);
    expect(questions).to.equal(1);
    control.answer = () => Promise.resolve(TWO);
  });
});
