import { expect } from 'chai';
import { existsSync } from 'node:fs';
import { copyFile, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import type { ExportedState, PruneResult, SyncResult } from '../../src/control/appliance-control.js';
import { AppliancePair } from '../support/appliance-pair.js';
import { differences, LoopedExport, makeExt4, manifest, Mount, sha256 } from '../support/ext4.js';
import { farcopy, farcopyJson, farcopyRunning } from '../support/farcopy.js';
import { NbdClient } from '../support/nbd-client.js';
import { must, type RunningProgram } from '../support/program.js';
import { requires } from '../support/requirements.js';
import { sandboxPerTest } from '../support/sandbox.js';
import { Seeded } from '../support/seeded.js';
import { until } from '../support/until.js';

const MIB = 1 << 20;

describe('restore points', function () {
  this.timeout(120_000);
  const sandbox = sandboxPerTest();

  /** Lets the backup keep points as told; before it is started. */
  async function keep(pair: AppliancePair, policy: string): Promise<void> {
    const { config } = pair.backupHome;
    const text = await readFile(config, 'utf8');
    const withoutKeep = text.replace(/^ {4}keep: .*\n/m, '');
    await writeFile(config, withoutKeep.replace(/^( {4}publicKey: .*\n)/m, `$1    keep: ${policy}\n`));
  }

  /** `farcopy export` in the background, ready. */
  async function exportState(
    pair: AppliancePair,
    more: readonly string[],
  ): Promise<{ readonly program: RunningProgram; readonly exported: ExportedState; readonly uri: string }> {
    const args = ['export', pair.copyName, ...more, '--json', '--config', pair.backupHome.config];
    const program = farcopyRunning(sandbox(), args);
    await until('the export is ready', () => program.stdout.includes('\n') || !program.running, {
      seen: () => program.stderr,
    });
    if (!program.running) throw new Error(program.stderr);
    const exported = JSON.parse(program.stdout) as ExportedState;
    return { program, exported, uri: `nbd+unix:///?socket=${exported.socket}` };
  }

  const end = async (program: RunningProgram): Promise<number | null> => {
    process.kill(program.pid, 'SIGTERM');
    return (await program.finished).code;
  };

  it('last week is mounted and read while replication and pruning go on', async function () {
    requires(this, {
      programs: ['nbdfuse', 'nbdinfo', 'nbdcopy', 'losetup', 'mkfs.ext4', 'fsfreeze', 'e2fsck'],
      root: true,
    });
    const random = new Seeded(31);
    const pair = await AppliancePair.create(sandbox(), { sizeBytes: 32 * MIB, line: 'tcp' });
    await keep(pair, '{ daily: 1, last: 2 }');
    await Promise.all([pair.startPrimary(), pair.startBackup()]);
    const live = await LoopedExport.attach(sandbox(), 'live', pair.nbdSocket, pair.volume);
    await makeExt4(live.device);
    const mnt = await Mount.mount(sandbox(), 'mnt', live.device);

    /** A frozen snapshot, replicated, and the device as it was then. */
    const week = async (name: string): Promise<SyncResult & { readonly image: string }> => {
      await mnt.freeze();
      const image = sandbox().path(name);
      try {
        await copyFile(pair.device, image);
        return { ...(await pair.sync()), image };
      } finally {
        await mnt.thaw();
      }
    };
    await writeFile(`${mnt.folder}/report`, random.bytes(3 * MIB));
    await writeFile(`${mnt.folder}/notes`, 'as of last week\n');
    const files = await manifest(mnt.folder);
    const lastWeek = await week('last-week');
    await writeFile(`${mnt.folder}/report`, random.bytes(3 * MIB));
    await rm(`${mnt.folder}/notes`);
    const thisWeek = await week('this-week');

    // By time: any instant from that point on, before the next.
    const [, point] = await pair.points();
    const at = new Date(Date.parse(point?.time ?? '') + 1).toISOString();
    for (const [which, wanted] of [
      [lastWeek.state, lastWeek],
      [at, lastWeek],
      [thisWeek.state.slice(0, 12), thisWeek],
    ] as const) {
      const restored = await pair.restore(`restored-${which.replaceAll(':', '')}`, which);
      expect(await sha256(restored), which).to.equal(await sha256(wanted.image));
    }

    const socket = sandbox().path('old.sock');
    const { program, exported, uri } = await exportState(pair, ['--at', at, '--socket', socket]);
    expect(exported).to.deep.include({
      socket,
      state: lastWeek.state,
      time: point?.time,
      sizeBytes: 32 * MIB,
    });
    const info = await must('nbdinfo', [uri]);
    expect(info)
      .to.match(/is_read_only: true/)
      .and.match(/export-size: 33554432/);

    const old = await LoopedExport.attach(sandbox(), 'old', socket, 'ledger');
    const seen = await Mount.mount(sandbox(), 'seen', old.device, ['ro', 'noload']);
    expect(differences(files, await manifest(seen.folder))).to.deep.equal([]);

    // Everything changes, and the point between is no longer to be kept: it is merged into the one that is read.
    const reading = (async () => {
      for (let i = 0; i < 5; i++) {
        await must('sh', ['-c', 'echo 3 > /proc/sys/vm/drop_caches']);
        expect(differences(files, await manifest(seen.folder))).to.deep.equal([]);
      }
    })();
    const newer: string[] = [];
    for (let i = 0; i < 2; i++) {
      await writeFile(`${mnt.folder}/report`, random.bytes(4 * MIB));
      newer.unshift((await pair.sync()).state);
    }
    await reading;
    const left = [...newer, lastWeek.state];
    await until('the point between is gone', async () => (await pair.points()).length === left.length);
    expect((await pair.points()).map(({ id }) => id)).to.deep.equal(left);
    expect(differences(files, await manifest(seen.folder))).to.deep.equal([]);
    await seen.unmount();
    await old.detach();
    const copy = sandbox().path('copy');
    await must('nbdcopy', [uri, copy]);
    expect(await sha256(copy)).to.equal(await sha256(lastWeek.image));
    expect(await end(program)).to.equal(0);
    expect(existsSync(socket)).to.equal(false);
  });

  it('are kept as configured, also the one that is open, and merged without harm', async function () {
    requires(this, { programs: ['nbdcopy', 'qemu-io'] });
    const random = new Seeded(32);
    const pair = await AppliancePair.create(sandbox(), { sizeBytes: 4 * MIB, line: 'tcp' });
    await keep(pair, '{ last: 100 }');
    await Promise.all([pair.startPrimary(), pair.startBackup()]);
    const client = await NbdClient.connect(pair.nbdSocket, pair.volume);
    const states: { readonly state: string; readonly content: Buffer }[] = [];
    const change = async (): Promise<void> => {
      for (let i = 0; i < 20; i++) await client.write(4096 * random.below(1024), random.bytes(4096));
      const { state } = await pair.sync();
      states.push({ state, content: await readFile(pair.device) });
    };
    for (let i = 0; i < 4; i++) await change();
    const config = ['--config', pair.backupHome.config];
    const listed = async (): Promise<string[]> => (await pair.points()).map(({ id }) => id);
    const expected = (...ordinals: number[]): (string | undefined)[] =>
      ordinals.map((ordinal) => states[ordinal]?.state);
    expect(await listed()).to.deep.equal(expected(3, 2, 1, 0));

    // The rule becomes stricter: it is applied at the next start.
    expect(await pair.backup.stop()).to.equal(0);
    await keep(pair, '{ last: 3 }');
    const dry = await farcopyJson<PruneResult>(['prune', pair.copyName, '--dry-run', ...config]);
    expect(dry.removed.map(({ id }) => id)).to.deep.equal(expected(0));
    expect(await listed()).to.deep.equal(expected(3, 2, 1, 0));
    await pair.startBackup();
    await until('the oldest point is gone', async () => (await listed()).length === 3);

    // An open one stays while others come and go; those between are merged into it.
    const socket = sandbox().path('open.sock');
    const open = await exportState(pair, ['--at', states[1]?.state ?? '', '--socket', socket]);
    for (let i = 0; i < 3; i++) await change();
    await until('the points between are merged', async () => (await listed()).length === 4);
    expect(await listed()).to.deep.equal(expected(6, 5, 4, 1));
    const copy = sandbox().path('copy');
    await must('nbdcopy', [open.uri, copy]);
    expect((await readFile(copy)).equals(states[1]?.content ?? Buffer.alloc(0))).to.equal(true);
    expect(await end(open.program)).to.equal(0);
    const pruned = await farcopyJson<PruneResult>(['prune', pair.copyName, ...config]);
    expect(pruned.removed.map(({ id }) => id)).to.deep.equal(expected(1));
    expect(await listed()).to.deep.equal(expected(6, 5, 4));
    for (const ordinal of [4, 6]) {
      const restored = await pair.restore(`restored-${ordinal}`, states[ordinal]?.state);
      expect((await readFile(restored)).equals(states[ordinal]?.content ?? Buffer.alloc(0))).to.equal(true);
    }
    const increments = await readdir(`${pair.backupHome.folder}/store/branch/ledger/increments`);
    expect(increments).to.have.length(2);
    const gone = [
      'restore',
      pair.copyName,
      '--at',
      states[2]?.state ?? '',
      '--to',
      copy,
      '--force',
      ...config,
    ];
    expect((await farcopy(gone)).stderr).to.match(/^farcopy: there is no restore point /);
    client.close();

    // Without the appliance, writable: what is written is gone afterwards.
    await pair.backup.stop();
    const writable = await exportState(pair, ['--writable', '--socket', socket]);
    await must('qemu-io', ['-f', 'raw', '-c', 'write -P 9 0 1M', '-c', 'read -P 9 0 1M', writable.uri]);
    expect(await end(writable.program)).to.equal(0);
    const restored = await pair.restore('after-all');
    expect((await readFile(restored)).equals(states[6]?.content ?? Buffer.alloc(0))).to.equal(true);
  });
});
