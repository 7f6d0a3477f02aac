import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ApplianceError } from '../../../src/appliance/errors.js';
import type { ApplianceStatus } from '../../../src/appliance/status.js';
import type { ApplianceControl, PointSummary } from '../../../src/control/appliance-control.js';
import { ControlServer } from '../../../src/control/server.js';
import { silentLog } from '../../../src/platform/log.js';

const program = join(dirname(fileURLToPath(import.meta.url)), '../../../src/cli/launch.cjs');

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: readonly string[];
}

const STATUS: ApplianceStatus = {
  schema: 1,
  role: 'primary',
  name: 'branch-12',
  links: [
    {
      name: 'vault/serial',
      type: 'serial',
      state: 'connected',
      peer: 'vault',
      bytesSent: 2048,
      bytesReceived: 100,
      framesSent: 9,
      framesReceived: 8,
      framesDamaged: 1,
      framesRepeated: 2,
      bytesRepeated: 300,
      lastError: 'a \u001b[31m trick',
    },
  ],
  volumes: [
    {
      name: 'ledger',
      sizeBytes: 16 * 2 ** 20,
      blockSize: 4096,
      dirtyBlocks: 7,
      lastState: { id: 'a'.repeat(32), time: '2026-11-22T18:00:00.000Z', grade: 'quiet' },
      transfer: null,
      warnings: ['the state disk is full'],
    },
  ],
  events: [{ time: '2026-11-22T18:00:01.000Z', level: 'info', text: 'Connected.' }],
};

const POINT: PointSummary = {
  id: 'b'.repeat(32),
  primary: 'branch-12',
  volume: 'ledger',
  time: '2026-11-22T18:00:00.000Z',
  grade: 'quiet',
  sizeBytes: 4096,
  blocks: 1,
  appliedAt: '2026-11-22T18:05:00.000Z',
};

const SYNCED = {
  state: 'a'.repeat(32),
  grade: 'quiet',
  blocks: 5,
  bytesSent: 20_480,
  bytesReceived: 90,
  bytesRepeated: 0,
  seconds: 1.5,
} as const;

describe('the command line', function () {
  this.timeout(30_000);
  let folder: string;
  const servers: ControlServer[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'farcopy-cli-'));
  });
  afterEach(async () => {
    for (const server of servers.splice(0)) await server.close();
    await rm(folder, { recursive: true });
  });

  async function farcopy(args: readonly string[], interruptAfter?: Promise<unknown>): Promise<Outcome> {
    const child = spawn(process.execPath, [program, ...args], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    void interruptAfter?.then(() => child.kill('SIGINT'));
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, stdout, stderr: stderr.split('\n').filter((line) => line !== '') };
  }

  const configure = async (role: 'primary' | 'backup'): Promise<void> =>
    writeFile(
      join(folder, 'farcopy.yaml'),
      role === 'primary'
        ? 'role: primary\nname: branch-12\ncontrol: c.sock\nvolumes: [ { name: ledger, device: ledger.img } ]\n'
        : 'role: backup\nname: vault\ncontrol: c.sock\n',
    );

  /** An appliance that answers as told, on the control socket of the configuration. */
  async function running(role: 'primary' | 'backup', methods: Partial<ApplianceControl>): Promise<void> {
    await configure(role);
    const unused = (): Promise<never> => Promise.reject(new Error('not to be called'));
    const control: ApplianceControl = {
      status: unused,
      sync: unused,
      compare: unused,
      snapshot: unused,
      points: unused,
      restore: unused,
      export: unused,
      prune: unused,
      drill: unused,
      scrub: unused,
      pause: unused,
      resume: unused,
      hangUp: unused,
      seedExport: unused,
      seedImport: unused,
      seedDrop: unused,
      ...methods,
    };
    servers.push(await ControlServer.listen(join(folder, 'c.sock'), control, silentLog));
  }

  describe('wrong usage exits 2 with one line and a hint, and says nothing on stdout', () => {
    const usages: readonly (readonly [readonly string[], RegExp, RegExp])[] = [
      [
        ['statsu'],
        /^farcopy: unknown command 'statsu'$/,
        /^hint: did you mean status\? see `farcopy --help`$/,
      ],
      [['format'], /^farcopy: unknown command 'format'$/, /^hint: see `farcopy --help`$/],
      [['sync'], /^farcopy: missing required argument 'volume'$/, /^hint: /],
      [['sync', 'a', 'b'], /^farcopy: too many arguments/, /^hint: /],
      [['sync', 'a', '--fast'], /^farcopy: unknown option '--fast'$/, /^hint: /],
      [
        ['sync', 'a', '--timeout', 'soon'],
        /^farcopy: --timeout: found "soon", allowed a duration/,
        /^hint: /,
      ],
      [['restore', 'a/b'], /^farcopy: required option '--to <path>' not specified$/, /^hint: /],
      [['init'], /^farcopy: missing required argument 'role'$/, /^hint: /],
      [['init', 'vault'], /^farcopy: found "vault", allowed primary or backup$/, /^hint: /],
      [['init', 'backup', '--name', 'a/b'], /^farcopy: found the name "a\/b", allowed/, /^hint: /],
      [['status'], /^farcopy: there is no configuration \.\/farcopy\.yaml$/, /^hint: .*farcopy init/],
    ];
    for (const [args, message, hint] of usages) {
      it(`farcopy ${args.join(' ')}`, async () => {
        const { code, stdout, stderr } = await farcopy(args);
        expect({ code, stdout }).to.deep.equal({ code: 2, stdout: '' });
        expect(stderr).to.have.length(2);
        expect(stderr[0]).to.match(message);
        expect(stderr[1]).to.match(hint);
      });
    }

    it('farcopy alone shows the commands', async () => {
      const { code, stdout, stderr } = await farcopy([]);
      expect({ code, stdout }).to.deep.equal({ code: 2, stdout: '' });
      expect(stderr.join('\n')).to.match(/Usage: farcopy/);
    });
  });

  it('shows help on stdout and exits 0 when asked for it', async () => {
    const { code, stdout, stderr } = await farcopy(['sync', '--help']);
    expect({ code, stderr }).to.deep.equal({ code: 0, stderr: [] });
    expect(stdout)
      .to.match(/Usage: farcopy sync/)
      .and.to.match(/--config <file>/);
  });

  it('refuses a bad configuration with the file as it was named, and exits 2', async () => {
    await writeFile(join(folder, 'my.yaml'), 'role: backup\nname: vault\nstoer: x\n');
    const { code, stderr } = await farcopy(['status', '--json', '--config', './my.yaml']);
    expect(code).to.equal(2);
    expect(stderr).to.have.length(1);
    expect(stderr[0]).to.match(/^farcopy: \.\/my\.yaml:3: stoer: found an unknown key, .*did you mean store/);
  });

  it('says that no appliance is running and how to start it, and exits 1', async () => {
    await configure('primary');
    for (const args of [['status'], ['sync', 'ledger'], ['snapshot', 'ledger']]) {
      const { code, stdout, stderr } = await farcopy(args);
      expect({ code, stdout }).to.deep.equal({ code: 1, stdout: '' });
      expect(stderr[0]).to.equal('farcopy: no appliance is running for this configuration');
      expect(stderr[1]).to.match(/^hint: start it with `farcopy primary`/);
    }
  });

  it('refuses a command that goes with the other role, and exits 2', async () => {
    await configure('primary');
    const { code, stderr } = await farcopy(['points']);
    expect(code).to.equal(2);
    expect(stderr[0]).to.match(/`farcopy points` does not go with the role primary/);
  });

  describe('init', () => {
    it('writes a configuration and a key, and prints the public key last', async () => {
      const { code, stdout } = await farcopy(['init', 'backup', '--dir', 'vault', '--name', 'vault']);
      expect(code).to.equal(0);
      const key = stdout.trim().split('\n').at(-1);
      expect(key).to.equal((await readFile(join(folder, 'vault/state/public.key'), 'utf8')).trim());
      expect(Buffer.from(key!, 'base64')).to.have.length(32);
      expect((await stat(join(folder, 'vault/state/secret.key'))).mode & 0o777).to.equal(0o600);
      const status = await farcopy(['status', '--config', 'vault/farcopy.yaml']);
      expect(status.code, 'the configuration is valid').to.equal(1);
    });

    it('prints one JSON value when asked to', async () => {
      const { code, stdout, stderr } = await farcopy(['init', 'primary', '--json']);
      expect({ code, stderr }).to.deep.equal({ code: 0, stderr: [] });
      const printed = JSON.parse(stdout) as { config: string; publicKey: string };
      expect(printed).to.have.all.keys('config', 'publicKey');
      expect(await readFile(printed.config, 'utf8')).to.match(/^role: primary$/m);
    });

    it('overwrites nothing, and exits 1', async () => {
      await farcopy(['init', 'primary']);
      const before = await readFile(join(folder, 'farcopy.yaml'), 'utf8');
      const key = await readFile(join(folder, 'state/secret.key'), 'utf8');
      const { code, stdout, stderr } = await farcopy(['init', 'backup']);
      expect({ code, stdout }).to.deep.equal({ code: 1, stdout: '' });
      expect(stderr[0]).to.match(/^farcopy: .*farcopy\.yaml is there already$/);
      expect(await readFile(join(folder, 'farcopy.yaml'), 'utf8')).to.equal(before);
      expect(await readFile(join(folder, 'state/secret.key'), 'utf8')).to.equal(key);
    });
  });

  describe('with an appliance running', () => {
    it('status prints what the appliance says, as JSON', async () => {
      await running('primary', { status: () => Promise.resolve(STATUS) });
      const { code, stdout, stderr } = await farcopy(['status', '--json']);
      expect({ code, stderr }).to.deep.equal({ code: 0, stderr: [] });
      expect(JSON.parse(stdout)).to.deep.equal(STATUS);
    });

    it('status prints a table for people, in which nothing steers the terminal', async () => {
      await running('primary', { status: () => Promise.resolve(STATUS) });
      const { code, stdout } = await farcopy(['status']);
      expect(code).to.equal(0);
      expect(stdout).to.match(/^primary branch-12$/m);
      expect(stdout).to.match(/vault\/serial +serial +connected: vault +2 KiB +100 B +2 +1 +a \?\[31m trick/);
      expect(stdout).to.match(/ledger +16 MiB +7 blocks +2026-11-22T18:00:00\.000Z \(.* ago, quiet\)/);
      expect(stdout).to.match(/^warning: ledger: the state disk is full$/m);
      expect(stdout).to.match(/info +Connected\./);
    });

    it('sync hands over volume, backup and timeout, and prints the result as JSON', async () => {
      let asked: unknown;
      await running('primary', {
        sync: (request, { progress }) => {
          asked = request;
          progress({ phase: 'sending', done: 1, total: 2, unit: 'bytes' });
          return Promise.resolve(SYNCED);
        },
      });
      const { code, stdout, stderr } = await farcopy([
        ...['sync', 'ledger', '--to', 'vault', '--timeout', '5m', '--json'],
      ]);
      expect({ code, stderr }).to.deep.equal({ code: 0, stderr: [] });
      expect(JSON.parse(stdout)).to.deep.equal(SYNCED);
      expect(asked).to.deep.equal({ volume: 'ledger', to: 'vault', timeoutMs: 300_000 });
    });

    it('sync takes a timeout without a unit for seconds', async () => {
      let asked: unknown;
      await running('primary', {
        sync: (request) => {
          asked = request;
          return Promise.resolve(SYNCED);
        },
      });
      expect((await farcopy(['sync', 'ledger', '--timeout', '90'])).stdout).to.match(
        /^ledger is safe as state a+/,
      );
      expect(asked).to.deep.equal({ volume: 'ledger', timeoutMs: 90_000 });
    });

    it('a refusal is one line and exit 1, a volume that is not there exit 2', async () => {
      await running('primary', {
        sync: () => Promise.reject(new ApplianceError('refused', 'vault refused: disk full', 'make room')),
        snapshot: () =>
          Promise.reject(new ApplianceError('unknown-volume', 'there is no volume x', 'there is ledger')),
      });
      const refused = await farcopy(['sync', 'ledger', '--json']);
      expect(refused).to.deep.equal({
        code: 1,
        stdout: '',
        stderr: ['farcopy: vault refused: disk full', 'hint: make room'],
      });
      const unknown = await farcopy(['snapshot', 'x']);
      expect(unknown).to.deep.equal({
        code: 2,
        stdout: '',
        stderr: ['farcopy: there is no volume x', 'hint: there is ledger'],
      });
    });

    it('sync that is interrupted cancels the operation and exits 1', async () => {
      let begun = (): void => undefined;
      const started = new Promise<void>((resolve) => (begun = resolve));
      let aborted = false;
      await running('primary', {
        sync: async (_request, { signal }) => {
          begun();
          await once(signal, 'abort');
          aborted = true;
          throw signal.reason;
        },
      });
      const { code, stderr } = await farcopy(['sync', 'ledger'], started);
      expect({ code, aborted }).to.deep.equal({ code: 1, aborted: true });
      expect(stderr).to.deep.equal(['farcopy: cancelled']);
    });

    it('a command whose npx was told to stop, stops too', async () => {
      let aborted = (): void => undefined;
      const stopped = new Promise<void>((resolve) => (aborted = resolve));
      let begun = (): void => undefined;
      const started = new Promise<void>((resolve) => (begun = resolve));
      await running('primary', {
        sync: async (_request, { signal }) => {
          begun();
          await once(signal, 'abort');
          aborted();
          throw signal.reason;
        },
      });
      // As npm runs it: a shell in between, which dies of the signal and passes nothing on.
      const script = `"${process.execPath}" "${program}" sync ledger; :`;
      const env = { ...process.env, npm_command: 'exec' };
      const shell = spawn('sh', ['-c', script], { cwd: folder, stdio: 'ignore', env });
      await started;
      shell.kill('SIGTERM');
      await stopped;
    });

    it('snapshot passes on the note', async () => {
      let asked: unknown;
      await running('primary', {
        snapshot: (request) => {
          asked = request;
          return Promise.resolve({ state: 'a'.repeat(32), grade: 'application', time: POINT.time });
        },
      });
      const { code, stdout } = await farcopy(['snapshot', 'ledger', '--note', 'year end', '--json']);
      expect(code).to.equal(0);
      expect(JSON.parse(stdout)).to.include({ grade: 'application' });
      expect(asked).to.deep.equal({ volume: 'ledger', note: 'year end' });
    });

    it('points and restore ask the appliance', async () => {
      let asked: unknown;
      await running('backup', {
        points: () => Promise.resolve([POINT]),
        restore: (request) => {
          asked = request;
          return Promise.resolve({ state: POINT.id, time: POINT.time, to: request.to, sizeBytes: 4096 });
        },
      });
      expect(JSON.parse((await farcopy(['points', '--json'])).stdout)).to.deep.equal([POINT]);
      expect((await farcopy(['points'])).stdout).to.match(/b{32} +branch-12\/ledger +2026-11-22T18:00/);
      const args = ['restore', 'branch-12/ledger', '--at', 'bbbbbbbb', '--to', './out.img', '--force'];
      expect((await farcopy(args)).stdout).to.match(/^wrote branch-12\/ledger as of 2026-11-22T18:00/);
      expect(asked).to.deep.equal({
        volume: 'branch-12/ledger',
        at: 'bbbbbbbb',
        to: join(folder, 'out.img'),
        force: true,
      });
    });
  });

  it('points of a store that is not there yet are none, and it is not made by looking', async () => {
    await configure('backup');
    expect(await farcopy(['points', '--json'])).to.deep.equal({ code: 0, stdout: '[]\n', stderr: [] });
    const exists = await stat(join(folder, 'store')).then(
      () => true,
      () => false,
    );
    expect(exists).to.equal(false);
    const { code, stderr } = await farcopy(['restore', 'a/b', '--to', 'x']);
    expect(code).to.equal(2);
    expect(stderr[0]).to.equal('farcopy: there is no copy of a/b');
  });
});
