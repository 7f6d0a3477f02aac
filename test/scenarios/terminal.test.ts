import { expect } from 'chai';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { AppliancePair } from '../support/appliance-pair.js';
import { MAIN, statusOver, type ApplianceHome } from '../support/farcopy.js';
import { NbdClient } from '../support/nbd-client.js';
import { must } from '../support/program.js';
import { requires } from '../support/requirements.js';
import type { Sandbox } from '../support/sandbox.js';
import { sandboxPerTest } from '../support/sandbox.js';
import { Seeded } from '../support/seeded.js';
import { Tmux, type TmuxOptions } from '../support/tmux.js';
import { until } from '../support/until.js';

const MIB = 1 << 20;
/** The exit code and the line settings that come after it. */
const ENDED = /exit \d+\n-?icanon/;
const RESTORED = { alternate: false, cursorShown: true };
/** Throws outside every promise when the process gets SIGUSR2. */
const BOMB = "--import=data:text/javascript,process.on('SIGUSR2',()=>{throw%20Error('boom')})";

/** An appliance with its UI in a real terminal, as an operator starts it. */
class OnScreen {
  private constructor(
    readonly tmux: Tmux,
    readonly home: ApplianceHome,
  ) {}

  static async start(
    sandbox: Sandbox,
    home: ApplianceHome,
    options: TmuxOptions = {},
    redirection = '',
  ): Promise<OnScreen> {
    const tmux = await Tmux.open(sandbox, home.role, options);
    sandbox.defer(`the ${home.role} in tmux`, async () => {
      const pid = await pidOf(home);
      if (pid !== null) process.kill(pid, 'SIGKILL');
    });
    const it = new OnScreen(tmux, home);
    await it.again(home.role, '', redirection);
    await tmux.shows(`farcopy · ${home.role}`);
    return it;
  }

  /** `farcopy WHAT`, with the exit code and the line settings printed after its end. */
  async again(what: string, environment = '', redirection = ''): Promise<void> {
    const after = 'echo "exit $?"; stty -a | grep -o "[-]*icanon"';
    await this.tmux.type(
      `clear; ${environment} ${process.execPath} ${MAIN} ${what} --config ${this.home.config} ${redirection}; ${after}`,
    );
  }

  async signal(signal: NodeJS.Signals): Promise<void> {
    process.kill((await pidOf(this.home)) ?? 0, signal);
  }
}

/** From the log, which goes to a file while the UI has the screen. */
async function pidOf(home: ApplianceHome): Promise<number | null> {
  const log = await readFile(`${home.folder}/state/farcopy.log`, 'utf8').catch(() => '');
  const pids = [...log.matchAll(/"pid":(\d+)/g)].map(([, pid]) => Number(pid));
  const pid = pids.at(-1);
  const isRunning = await statusOver(home.control).then(
    () => true,
    () => false,
  );
  return pid !== undefined && isRunning ? pid : null;
}

describe('the terminal UI in a real terminal', function () {
  this.timeout(120_000);
  const sandbox = sandboxPerTest();
  before(function () {
    requires(this, { programs: ['tmux', 'bash', 'stty'] });
  });

  const pairOf = (): Promise<AppliancePair> =>
    AppliancePair.create(sandbox(), { sizeBytes: 8 * MIB, content: new Seeded(5).bytes(MIB), line: 'tcp' });

  it('shows both sides of a sync that a key has begun, and q gives the terminal back', async () => {
    const pair = await pairOf();
    const backup = await OnScreen.start(sandbox(), pair.backupHome);
    const primary = await OnScreen.start(sandbox(), pair.primaryHome);
    await primary.tmux.shows('connected: vault');
    expect(await primary.tmux.modes()).to.deep.equal({ alternate: true, cursorShown: false });

    await primary.tmux.press('s');
    await primary.tmux.shows(/ledger is safe as state [0-9a-f]{8} \((?:crash|quiet)\): 256 blocks/);
    const id = /as state (\w{8})/.exec(await primary.tmux.shows('up to date'))?.[1] ?? '?';
    const shown = await backup.tmux.shows(new RegExp(`Restore points of branch/ledger[^]* ${id} `));
    expect(shown).to.match(/▸ {2}branch\/ledger +8 MiB +\S.* whole/);
    expect(shown).to.contain('connected: branch');
    await primary.tmux.press('c');
    await primary.tmux.shows('ledger: the far copy is equal.');
    const lines = await backup.tmux.screen();
    expect(lines[0]).to.match(/^ farcopy · backup vault +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
    expect(lines[1]).to.equal(`── Copies ${'─'.repeat(70)}`);
    expect(lines.at(-1)).to.equal(' h hang up  r refresh  ? help  q quit');

    const client = await NbdClient.connect(pair.nbdSocket, 'ledger');
    await client.write(4 * MIB, new Seeded(6).bytes(8192));
    client.close();
    await primary.tmux.shows('2 = 8 KiB');
    await primary.tmux.press('n');
    await primary.tmux.shows('─ Snapshot ─');
    await primary.tmux.press('y');
    await backup.tmux.shows(/ application +2$/m);

    await primary.tmux.press('?');
    await primary.tmux.shows('┌─ Keys ─');
    await primary.tmux.press('x');
    await primary.tmux.resize(120, 40);
    await primary.tmux.shows('─'.repeat(110));

    for (const side of [primary, backup]) {
      await side.tmux.press('q');
      await side.tmux.shows('Stop this appliance?');
      await side.tmux.press('n');
      await side.tmux.press('q');
      await side.tmux.shows('Stop this appliance?');
      await side.tmux.press('y');
      expect(await side.tmux.shows(ENDED)).to.match(/exit 0\nicanon/);
      expect(await side.tmux.modes()).to.deep.equal(RESTORED);
    }
    const log = await readFile(`${pair.primaryHome.folder}/state/farcopy.log`, 'utf8');
    expect(log).to.contain('"text":"Ready."').and.to.contain('"text":"Stopped."');
  });

  it('gives the terminal back after kill, after an exception, and when the terminal itself hangs up', async () => {
    const pair = await pairOf();
    const backup = await OnScreen.start(sandbox(), pair.backupHome);
    // A signal must lead to the clean stop: blessed, left to itself, ends the process in the middle of it.
    await backup.signal('SIGTERM');
    expect(await backup.tmux.shows(ENDED)).to.match(/Stopped\.[^]*exit 0\nicanon/);
    expect(await backup.tmux.modes()).to.deep.equal(RESTORED);

    await backup.again('backup', `NODE_OPTIONS="${BOMB}"`);
    await backup.tmux.shows('farcopy · backup');
    await backup.signal('SIGUSR2');
    const shown = await backup.tmux.shows(ENDED);
    expect(shown)
      .to.contain('farcopy: internal error: Error: boom')
      .and.to.match(/exit 1\nicanon/);
    expect(await backup.tmux.modes()).to.deep.equal(RESTORED);

    await backup.again('backup');
    await backup.tmux.shows('farcopy · backup');
    await backup.signal('SIGHUP');
    expect(await backup.tmux.shows(ENDED)).to.match(/exit 0\nicanon/);
  });

  it('stops in order when its terminal is gone', async () => {
    const pair = await pairOf();
    const errors = `${pair.backupHome.folder}/errors`;
    const backup = await OnScreen.start(sandbox(), pair.backupHome, {}, `2> ${errors}`);
    const pid = (await pidOf(pair.backupHome)) ?? 0;
    await backup.tmux.hangUp();
    await until('it has ended', () => !existsSync(`/proc/${pid}`));
    // The shell is gone before it: what it says at its end comes from itself, such as that it aborts.
    expect(await readFile(errors, 'utf8')).to.equal('');
    const log = await readFile(`${pair.backupHome.folder}/state/farcopy.log`, 'utf8');
    expect(log.trimEnd().split('\n').at(-1)).to.contain('"text":"Stopped."');
  });

  it('attaches to an appliance that runs without one, and leaves it running', async () => {
    const pair = await pairOf();
    await pair.startBackup();
    const tmux = await Tmux.open(sandbox(), 'attached');
    const line = `clear; ${process.execPath} ${MAIN} tui --config ${pair.backupHome.config}; echo "exit $?"`;
    await tmux.type(line);
    await tmux.shows('farcopy · backup vault · attached');
    await tmux.press('s');
    await tmux.shows('A sync is done on the primary.');
    await pair.backup.stop();
    await tmux.shows('no appliance is running for this configuration; trying again.');
    await pair.startBackup();
    await tmux.shows(/^(?![^]*trying again)[^]*Copies/);
    await tmux.press('q');
    await tmux.shows(/exit 0\n/);
    expect(await tmux.modes()).to.deep.equal(RESTORED);
    expect((await pair.backup.status()).name).to.equal('vault');
  });

  it('refuses a terminal that cannot be drawn on, and draws with ASCII on an old one', async () => {
    const pair = await pairOf();
    const tmux = await Tmux.open(sandbox(), 'old', { env: { LC_ALL: 'C' } });
    const command = `${process.execPath} ${MAIN} backup --config ${pair.backupHome.config}; echo "exit $?"`;
    await tmux.type(`clear; TERM=dumb ${command}`);
    expect(await tmux.shows(/exit \d+\n/)).to.match(/TERM is dumb[^]*--headless[^]*exit 2/);
    await tmux.type(`clear; TERM=vt100 ${command}`);
    await tmux.shows('farcopy - backup vault');
    await tmux.press('?');
    const shown = await tmux.shows('Any key closes this page.');
    expect(shown).to.match(/^[\x20-\x7e\n]*$/);
    expect(shown).to.contain('+- Keys ---');
    await tmux.press('x', 'q');
    await tmux.shows('Stop this appliance?');
    await tmux.press('y');
    await tmux.shows(/exit 0\n/);
  });

  it('is not asked for where standard output is no terminal', async () => {
    const pair = await pairOf();
    const out = await must('sh', [
      '-c',
      `timeout -s TERM 4 ${process.execPath} ${MAIN} backup --config ${pair.backupHome.config} 2>&1 </dev/null`,
    ]).catch((error: unknown) => String(error));
    expect(out).to.contain('"text":"Ready."').and.to.not.contain('\u001b');
  });
});
