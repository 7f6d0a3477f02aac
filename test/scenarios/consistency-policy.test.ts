import { expect } from 'chai';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { AppliancePair } from '../support/appliance-pair.js';
import { LoopedExport, makeExt4, Mount } from '../support/ext4.js';
import { farcopy } from '../support/farcopy.js';
import { NbdClient } from '../support/nbd-client.js';
import { run } from '../support/program.js';
import { requires } from '../support/requirements.js';
import { sandboxPerTest } from '../support/sandbox.js';
import { Seeded } from '../support/seeded.js';
import { until } from '../support/until.js';

const BLOCK = 4096;

describe('when a snapshot is taken, and what its grade says', function () {
  this.timeout(120_000);
  const sandbox = sandboxPerTest();

  const start = (settings: string): Promise<AppliancePair> =>
    AppliancePair.start(sandbox(), {
      sizeBytes: 4 << 20,
      line: 'tcp',
      volumeSettings: [`consistency: { ${settings} }`],
    });
  const grades = async (pair: AppliancePair): Promise<string[]> =>
    (await pair.points()).map(({ grade }) => grade);

  /** Writes a block and flushes it, ten times a second. */
  async function keepWriting(pair: AppliancePair): Promise<{ stop: () => Promise<void> }> {
    const client = await NbdClient.connect(pair.nbdSocket, pair.volume);
    const random = new Seeded(7);
    const told = new AbortController();
    const work = (async () => {
      while (!told.signal.aborted) {
        await client.write(random.below(1000) * BLOCK, random.bytes(BLOCK));
        await client.flush();
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      client.close();
    })();
    return {
      stop: () => {
        told.abort();
        return work;
      },
    };
  }

  it('quiet is waited for: it comes when the writer rests', async () => {
    const pair = await start('quiet: 600ms, deadline: 60s');
    const writer = await keepWriting(pair);
    const sync = pair.startSync();
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect(sync.program.running, 'still waiting').to.equal(true);
    expect(await pair.transfer()).to.equal(null);
    await writer.stop();
    expect((await sync.result()).grade).to.equal('quiet');
    expect(await grades(pair)).to.deep.equal(['quiet']);
  });

  it('a writer that never rests: crash at the deadline, or none at all', async () => {
    const pair = await start('quiet: 600ms, deadline: 1500ms');
    const writer = await keepWriting(pair);
    expect((await pair.sync()).grade).to.equal('crash');
    await writer.stop();
    expect(await pair.primary.stop()).to.equal(0);
    await pair.configurePrimary((text) =>
      text.replace('deadline: 1500ms', 'deadline: 1500ms, atDeadline: skip'),
    );
    await pair.startPrimary();
    const again = await keepWriting(pair);
    const { code, stderr } = await farcopy(['sync', pair.volume, '--config', pair.primaryHome.config]);
    await again.stop();
    expect(code).to.equal(1);
    expect(stderr).to.match(/no snapshot was taken: the volume was not quiet by the deadline/);
    expect(await grades(pair)).to.deep.equal(['crash']);
  });

  it('users are warned, and a before command that fails makes it crash, after its after command', async () => {
    const story = sandbox().path('story');
    const pair = await start(
      `notice: "echo notice >> ${story}", grace: 300ms, ` +
        `before: "echo before $FARCOPY_VOLUME >> ${story}; exit 4", after: "echo after >> ${story}"`,
    );
    expect((await pair.sync()).grade).to.equal('crash');
    expect(await readFile(story, 'utf8')).to.equal('notice\nbefore ledger\nafter\n');
    const { events } = await pair.primary.status();
    expect(events.map(({ text }) => text)).to.include('ledger: the before command failed: exit code 4');
  });

  it('farcopy is killed while the volume is frozen: the next one thaws it first', async () => {
    const story = sandbox().path('story');
    const pair = await start(
      `before: "setsid sh -c 'sleep 100; : ${story}' & echo before >> ${story}; sleep 100", after: "echo after >> ${story}"`,
    );
    const sync = pair.startSync();
    await until('it is frozen', () => existsSync(story));
    await pair.primary.kill();
    await sync.program.finished;
    expect(await readFile(story, 'utf8')).to.equal('before\n');
    await pair.startPrimary();
    await until('it is thawed', async () => (await readFile(story, 'utf8')) === 'before\nafter\n');
    await until('nothing of before is left', async () => {
      const { stdout } = await run('ps', ['-eo', 'args']);
      return !stdout.includes(`echo before >> ${story}`) && !stdout.includes(`: ${story}`);
    });
    await until('it says so', async () => {
      const { events } = await pair.primary.status();
      return events.some(({ text }) => text.includes('stopped while the volume was frozen'));
    });
  });

  it('a freeze that is never undone by its own command is undone by the sync being stopped', async function () {
    requires(this, { programs: ['nbdfuse', 'losetup', 'mkfs.ext4', 'fsfreeze'], root: true });
    const folder = sandbox().path('mnt');
    const marker = sandbox().path('frozen');
    const pair = await start(
      `before: "fsfreeze -f ${folder} && touch ${marker}; sleep 100", after: "fsfreeze -u ${folder}", deadline: 90s`,
    );
    const exported = await LoopedExport.attach(sandbox(), 'live', pair.nbdSocket, pair.volume);
    await makeExt4(exported.device);
    const live = await Mount.mount(sandbox(), 'mnt', exported.device);
    const sync = pair.startSync();
    await until('it is frozen', () => existsSync(marker));
    expect((await run('fsfreeze', ['-f', live.folder])).code, 'frozen a second time').to.not.equal(0);
    sync.program.signal('SIGINT');
    await sync.program.finished;
    await until('it can be written', async () => {
      const { code } = await run('timeout', ['5', 'touch', `${live.folder}/free`]);
      return code === 0;
    });
    expect((await pair.backup.status()).volumes).to.deep.equal([]);
    await live.unmount();
    await exported.detach();
  });
});

describe('a schedule', function () {
  this.timeout(120_000);
  const sandbox = sandboxPerTest();

  it('takes snapshots and sends them, leaves out what overlaps, makes up for what was missed', async () => {
    const story = sandbox().path('story');
    const pair = await AppliancePair.start(sandbox(), {
      sizeBytes: 1 << 20,
      line: 'tcp',
      volumeSettings: [
        'schedule: "*/2 * * * * *"',
        `consistency: { before: "echo before >> ${story}; sleep 2.5", after: "true" }`,
      ],
    });
    await until('there is a copy', async () => (await pair.backup.status()).volumes.length > 0);
    const points = await until('there are two points', async () => {
      const found = await pair.points();
      return found.length >= 2 && found;
    });
    expect(points.map(({ grade }) => grade)).to.satisfy((found: string[]) =>
      found.every((g) => g === 'application'),
    );
    const status = await pair.primary.status();
    const schedule = status.volumes[0]?.schedule;
    expect(schedule?.cron).to.equal('*/2 * * * * *');
    expect(Date.parse(schedule?.nextRun ?? '')).to.be.greaterThan(Date.parse(schedule?.lastRun ?? ''));
    expect(status.events.map(({ text }) => text).join('\n')).to.match(/ledger: the run of .* is left out/);
    expect(await pair.primary.stop()).to.equal(0);

    // Under another expression nothing counts as missed; then three hours pass in which farcopy is off.
    await pair.configurePrimary((text) =>
      text.replace('*/2 * * * * *', '0 * * * *').replace(/before: .*, after: "true"/, 'quiet: 0s'),
    );
    await pair.startPrimary();
    const { volumes } = await pair.primary.status();
    expect(volumes[0]?.schedule?.cron).to.equal('0 * * * *');
    const before = (await pair.points()).length;
    expect(await pair.primary.stop()).to.equal(0);
    await pair.editState('schedule.json', (text) => {
      const record = JSON.parse(text) as { jobs: { ledger: { dealtWith: number } } };
      record.jobs.ledger.dealtWith -= 3 * 3_600_000;
      return JSON.stringify(record);
    });
    await pair.startPrimary();
    await until('one more point', async () => (await pair.points()).length === before + 1);
    const { events, volumes: now } = await pair.primary.status();
    expect(events.filter(({ text }) => /was missed and is made up for now/.test(text))).to.have.length(1);
    await until('the outcome is told', async () =>
      /vault has it/.test((await pair.primary.status()).volumes[0]?.schedule?.lastOutcome ?? ''),
    );
    expect(now[0]?.schedule?.lastRun).to.not.equal(null);
  });
});
