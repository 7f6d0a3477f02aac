import { expect } from 'chai';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { chmod, copyFile, lstat, mkdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { AppliancePair } from '../support/appliance-pair.js';
import { differences, manifest } from '../support/ext4.js';
import { farcopy, type ApplianceHome } from '../support/farcopy.js';
import { must, type Finished } from '../support/program.js';
import { requires } from '../support/requirements.js';
import { sandboxPerTest, type Sandbox } from '../support/sandbox.js';
import { Seeded } from '../support/seeded.js';

const MIB = 1 << 20;

/** An error as an operator must get it: `farcopy: what`, at most one line of hint, no stack, nothing on stdout. */
function expectRefusal(finished: Finished, code: number, text: RegExp): void {
  const { stdout, stderr } = finished;
  const told = stderr.split('\n').filter((line) => line !== '' && !line.startsWith('{'));
  expect(finished.code, stderr).to.equal(code);
  expect(told[0], stderr).to.match(/^farcopy: \S/);
  expect(told.length, stderr).to.be.lessThan(3);
  expect(told.join('\n')).to.match(text);
  expect(stderr).not.to.match(/\n\s+at /);
  expect(stdout).to.equal('');
}

/** Starting it must fail and change nothing in its folder. */
async function refusesToStart(home: ApplianceHome, code: number, text: RegExp): Promise<void> {
  const before = await manifest(home.folder);
  const finished = await farcopy([home.role, '--headless', '--config', home.config], { timeoutMs: 20_000 });
  expectRefusal(finished, code, text);
  expect(touched(before, await manifest(home.folder))).to.deep.equal([]);
}

/** What is not as it was. A lock file is left behind on purpose: removing one lets two processes hold it. */
function touched(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): readonly string[] {
  return differences(before, after).filter((line) => !/(^|\/)lock: absent -> file \d+ 0 /.test(line));
}

async function editConfig(home: ApplianceHome, from: string, to: string): Promise<number> {
  const text = await readFile(home.config, 'utf8');
  if (!text.includes(from)) throw new Error(`the configuration has no ${from}`);
  await writeFile(home.config, text.replace(from, to));
  return text.slice(0, text.indexOf(from)).split('\n').length;
}

/** A server of somebody else at a path. */
async function occupy(sandbox: Sandbox, path: string): Promise<void> {
  const server = createServer((socket) => socket.destroy());
  server.listen(path);
  await once(server, 'listening');
  sandbox.defer('the other server', () => void server.close());
}

describe('bad input is refused in one clear line, and nothing is touched', function () {
  this.timeout(90_000);
  const sandbox = sandboxPerTest();

  describe('before an appliance starts', () => {
    let pair: AppliancePair;
    beforeEach(async function () {
      requires(this, { programs: ['socat'] });
      pair = await AppliancePair.create(sandbox(), { sizeBytes: MIB, content: new Seeded(2).bytes(MIB) });
    });

    it('an unknown key in the configuration, with file and line and the key that was meant', async () => {
      const line = await editConfig(pair.primaryHome, 'device: ./ledger.img', 'devise: ./ledger.img');
      const finished = await farcopy(['primary', '--headless', '--config', pair.primaryHome.config]);
      expect(finished.code).to.equal(2);
      expect(finished.stderr).to.match(new RegExp(`farcopy\\.yaml:${line}: .*devise`));
      expect(finished.stderr).to.match(/device/);
      expect(finished.stderr).not.to.match(/\n\s+at /);
    });

    it('a block size that is no power of two', async () => {
      const line = await editConfig(pair.primaryHome, 'blockSize: 4096', 'blockSize: 5000');
      await refusesToStart(
        pair.primaryHome,
        2,
        new RegExp(`farcopy\\.yaml:${line}: .*blockSize.*5000.*power of two`),
      );
    });

    it('a socket path that is too long', async () => {
      const line = await editConfig(
        pair.primaryHome,
        './state/ledger.sock',
        `./state/${'x'.repeat(120)}.sock`,
      );
      await refusesToStart(pair.primaryHome, 2, new RegExp(`farcopy\\.yaml:${line}: .*nbd.*107 bytes`));
    });

    it('a configuration that is not there', async () => {
      expectRefusal(await farcopy(['primary', '--config', sandbox().path('none.yaml')]), 2, /none\.yaml/);
    });

    it('a configuration of the other role', async () => {
      expectRefusal(await farcopy(['backup', '--config', pair.primaryHome.config]), 2, /primary/);
    });

    it('an unknown command, and an unknown option', async () => {
      expectRefusal(await farcopy(['synch']), 2, /synch/);
      expectRefusal(
        await farcopy(['sync', 'ledger', '--fast', '--config', pair.primaryHome.config]),
        2,
        /--fast/,
      );
    });

    it('a device that is missing', async () => {
      await rename(pair.device, `${pair.device}.away`);
      await refusesToStart(pair.primaryHome, 1, /ledger\.img/);
    });

    it('a device that is a folder', async () => {
      await rm(pair.device);
      await mkdir(pair.device);
      await refusesToStart(pair.primaryHome, 1, /ledger\.img.*(file|device)/s);
    });

    it('a device whose size is no multiple of the block size', async () => {
      await truncate(pair.device, MIB - 100);
      await refusesToStart(pair.primaryHome, 1, /multiple/);
    });

    it('a block device that is read-only', async function () {
      requires(this, { programs: ['losetup'], root: true });
      const device = (await must('losetup', ['--find', '--show', '--read-only', pair.device])).trim();
      sandbox().defer(device, async () => {
        await must('losetup', ['--detach', device]);
      });
      await editConfig(pair.primaryHome, './ledger.img', device);
      await refusesToStart(pair.primaryHome, 1, /read-only/i);
    });

    it('an image file that may not be written', async function () {
      requires(this, { programs: ['mount'], root: true });
      await must('mount', ['--bind', pair.device, pair.device]);
      sandbox().defer('bind mount', async () => {
        await must('umount', [pair.device]);
      });
      await must('mount', ['-o', 'remount,ro,bind', pair.device]);
      await refusesToStart(pair.primaryHome, 1, /read-only|not be written|permission/i);
    });

    it('an NBD socket that another program serves', async () => {
      await occupy(sandbox(), pair.nbdSocket);
      await refusesToStart(pair.primaryHome, 1, /ledger\.sock: another process/);
      expect((await lstat(pair.nbdSocket)).isSocket()).to.equal(true);
    });

    it('a control socket that another program serves', async () => {
      await occupy(sandbox(), pair.primaryHome.control);
      await refusesToStart(pair.primaryHome, 1, /control\.sock/);
    });

    it('a file where a socket should be', async () => {
      await writeFile(pair.nbdSocket, 'precious');
      await refusesToStart(pair.primaryHome, 1, /ledger\.sock/);
      expect(await readFile(pair.nbdSocket, 'utf8')).to.equal('precious');
    });

    it('keys that are missing', async () => {
      await rename(`${pair.primaryHome.folder}/state`, `${pair.primaryHome.folder}/old-state`);
      await refusesToStart(pair.primaryHome, 2, /key/);
    });

    it('a command for an appliance that does not run', async () => {
      const { config } = pair.primaryHome;
      expectRefusal(await farcopy(['sync', 'ledger', '--config', config]), 1, /farcopy primary/);
      expectRefusal(await farcopy(['snapshot', 'ledger', '--config', config]), 1, /farcopy primary/);
      expectRefusal(await farcopy(['status', '--config', config]), 1, /farcopy primary/);
    });

    it('init where there is a configuration already', async () => {
      const before = await manifest(pair.primaryHome.folder);
      const finished = await farcopy(['init', 'primary', '--dir', pair.primaryHome.folder]);
      expect(finished.code).to.be.oneOf([1, 2]);
      expectRefusal(finished, finished.code ?? -1, /farcopy\.yaml/);
      expect(differences(before, await manifest(pair.primaryHome.folder))).to.deep.equal([]);
    });
  });

  it('on a running pair: wrong names, a second process, a restore over something', async function () {
    requires(this, { programs: ['socat'] });
    const pair = await AppliancePair.start(sandbox(), { sizeBytes: MIB, content: new Seeded(2).bytes(MIB) });
    const primary = ['--config', pair.primaryHome.config];
    const backup = ['--config', pair.backupHome.config];
    const { state } = await pair.sync();

    expectRefusal(await farcopy(['sync', 'lodger', ...primary]), 2, /lodger.*ledger/s);
    expectRefusal(await farcopy(['snapshot', 'lodger', ...primary]), 2, /lodger.*ledger/s);
    expectRefusal(await farcopy(['sync', 'ledger', '--to', 'fault', ...primary]), 2, /fault.*vault/s);
    expectRefusal(await farcopy(['sync', 'ledger', ...backup]), 2, /role backup/);
    expectRefusal(await farcopy(['points', 'branch/lodger', ...backup]), 2, /branch\/lodger/);
    const to = sandbox().path('restored');
    expectRefusal(await farcopy(['restore', 'branch/lodger', '--to', to, ...backup]), 2, /branch\/lodger/);
    expectRefusal(
      await farcopy(['restore', pair.copyName, '--at', 'ffffffffffff', '--to', to, ...backup]),
      1,
      /ffffffffffff/,
    );
    await writeFile(to, 'precious');
    expectRefusal(await farcopy(['restore', pair.copyName, '--to', to, ...backup]), 1, /--force/);
    expect(await readFile(to, 'utf8')).to.equal('precious');
    await must('rm', [to]);

    // A second process on the same state, and on the same store under another state folder.
    const other: ApplianceHome = { ...pair.primaryHome, config: `${pair.primaryHome.folder}/other.yaml` };
    await copyFile(pair.primaryHome.config, other.config);
    await editConfig(other, './state/control.sock', './other.sock');
    await editConfig(other, 'unix:./state/ledger.sock', 'unix:./other-ledger.sock');
    for (const home of [pair.primaryHome, other]) {
      const second = await farcopy(['primary', '--headless', '--config', home.config], { timeoutMs: 20_000 });
      expectRefusal(second, 1, /in use|running|another/);
    }
    const twin: ApplianceHome = { ...pair.backupHome, config: `${pair.backupHome.folder}/twin.yaml` };
    await copyFile(pair.backupHome.config, twin.config);
    await must('cp', ['-r', `${twin.folder}/state`, `${twin.folder}/twin`]).catch(() => undefined);
    await editConfig(twin, 'state: ./state', 'state: ./twin');
    await editConfig(twin, './state/control.sock', './twin/control.sock');
    for (const home of [pair.backupHome, twin]) {
      const second = await farcopy(['backup', '--headless', '--config', home.config], { timeoutMs: 20_000 });
      expectRefusal(second, 1, /in use|running|another/);
    }
    // The first ones did not notice.
    const again = await pair.sync();
    expect((await pair.points()).map(({ id }) => id)).to.deep.equal([again.state, state]);
  });

  it('a volume that is smaller than it was, and one that is not the one the store knows', async function () {
    requires(this, { programs: ['socat'] });
    const content = new Seeded(2).bytes(MIB);
    const pair = await AppliancePair.start(sandbox(), { sizeBytes: MIB, content });
    const { state } = await pair.sync();
    expect(await pair.primary.stop()).to.equal(0);
    await truncate(pair.device, MIB / 2);
    await refusesToStart(pair.primaryHome, 1, /ledger.*small|shr[aiu]nk|size/is);

    // A new state folder makes it another volume, smaller than the image and larger: neither may touch the copy.
    for (const size of [MIB / 2, 2 * MIB]) {
      await must('rm', ['-rf', `${pair.primaryHome.folder}/saved`]);
      await keepKeysOnly(pair.primaryHome.folder);
      await truncate(pair.device, size);
      await pair.startPrimary();
      const began = performance.now();
      const finished = await farcopy(['sync', 'ledger', '--config', pair.primaryHome.config], {
        timeoutMs: 70_000,
      });
      expectRefusal(finished, 1, /another volume/);
      expect(performance.now() - began).to.be.lessThan(60_000);
      expect(await pair.primary.stop()).to.equal(0);
    }
    expect((await pair.points()).map(({ id }) => id)).to.deep.equal([state]);
    expect((await readFile(await pair.restore('restored'))).equals(content)).to.equal(true);
  });

  it('a peer whose key is not known: the sync is refused within a minute', async function () {
    requires(this, { programs: ['socat'] });
    const pair = await AppliancePair.create(sandbox(), { sizeBytes: MIB });
    const stranger = Buffer.alloc(32, 9).toString('base64');
    const text = await readFile(pair.backupHome.config, 'utf8');
    await writeFile(pair.backupHome.config, text.replace(/publicKey: .*/, `publicKey: ${stranger}`));
    await pair.startPrimary();
    await pair.startBackup();
    const began = performance.now();
    const finished = await farcopy(['sync', 'ledger', '--config', pair.primaryHome.config], {
      timeoutMs: 90_000,
    });
    expectRefusal(finished, 1, /vault/);
    expect(performance.now() - began).to.be.lessThan(60_000);
    expect(await pair.points().catch(() => [])).to.deep.equal([]);
  });

  it('kill -9 of the process that was started, and of it alone, leaves nothing that holds the state', async function () {
    requires(this, { programs: ['socat'] });
    const pair = await AppliancePair.create(sandbox(), { sizeBytes: MIB });
    for (let round = 0; round < 2; round++) {
      await pair.startPrimary();
      process.kill(pair.primary.program.pid, 'SIGKILL');
      await must('sh', ['-c', `while kill -0 ${pair.primary.program.pid} 2>/dev/null; do sleep 0.02; done`], {
        timeoutMs: 5000,
      });
    }
    await pair.startPrimary();
    expect(await pair.primary.stop()).to.equal(0);
  });
});

/** As after a lost state disk from which only the keys were saved. */
async function keepKeysOnly(folder: string): Promise<void> {
  await rename(`${folder}/state`, `${folder}/saved`);
  await mkdir(`${folder}/state`);
  for (const key of ['secret.key', 'public.key'])
    await copyFile(`${folder}/saved/${key}`, `${folder}/state/${key}`);
  await chmod(`${folder}/state/secret.key`, 0o600);
}
