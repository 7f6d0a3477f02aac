import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { Seeded } from '../../support/seeded.js';
import { must, run } from '../../support/program.js';
import { requires } from '../../support/requirements.js';
import { until } from '../../support/until.js';
import { MemoryExport } from './memory-export.js';
import { serving, testFolder } from './serving.js';

const MIB = 1 << 20;

/** The NBD programs people use are the judges here: each must find nothing wrong with the server. */
describe('real NBD programs', function () {
  this.timeout(60_000);

  for (const later of ['never', 'always'] as const) {
    const when = later === 'never' ? 'at once' : 'later';

    it(`nbdcopy copies in and out over several connections, answers ${when}`, async function () {
      requires(this, { programs: ['nbdcopy'] });
      const disk = new MemoryExport({ sizeBytes: 12 * MIB, later });
      const { uri, server } = await serving([disk]);
      const folder = testFolder();
      const content = new Seeded(7).bytes(12 * MIB);
      content.fill(0, 3 * MIB, 7 * MIB);
      writeFileSync(join(folder, 'in'), content);
      await must('nbdcopy', ['--flush', join(folder, 'in'), uri]);
      expect(disk.bytes.equals(content)).to.equal(true);
      await must('nbdcopy', ['--connections=4', uri, join(folder, 'out')]);
      expect(readFileSync(join(folder, 'out')).equals(content)).to.equal(true);
      await until('the clients are gone', () => server.clientsOf('disk') === 0);
    });

    it(`fio verifies what it wrote, answers ${when}`, async function () {
      requires(this, { programs: ['fio'] });
      const { uri } = await serving([new MemoryExport({ sizeBytes: 16 * MIB, later })]);
      const args = ['--name=x', '--ioengine=nbd', `--uri=${uri}`, '--size=16m', '--bsrange=512-256k'];
      const work = ['--rw=randwrite', '--iodepth=16', '--verify=crc32c', '--verify_fatal=1', '--fsync=50'];
      const report = await must('fio', [...args, ...work, '--output-format=json'], { cwd: testFolder() });
      expect(report).to.match(/"error" : 0/);
    });
  }

  it('nbdinfo reads the export, the list and the map', async function () {
    requires(this, { programs: ['nbdinfo'] });
    const disk = new MemoryExport({ name: 'ledger', blockSize: 8192 });
    disk.bytes.fill(1, 65_536, 131_072);
    const { uri, path } = await serving([disk, new MemoryExport({ name: 'other', readOnly: true })]);
    const named = `nbd+unix:///ledger?socket=${path}`;
    const info = JSON.parse(await must('nbdinfo', ['--json', named])) as { exports: unknown[] };
    expect(info.exports[0]).to.include({
      'export-name': 'ledger',
      'export-size': MIB,
      block_size_preferred: 8192,
      can_multi_conn: true,
    });
    const list = JSON.parse(await must('nbdinfo', ['--list', '--json', uri])) as {
      exports: { 'export-name': string; is_read_only: boolean }[];
    };
    expect(list.exports.map((one) => [one['export-name'], one.is_read_only])).to.deep.equal([
      ['ledger', false],
      ['other', true],
    ]);
    const map = JSON.parse(await must('nbdinfo', ['--map', '--json', named])) as {
      length: number;
      type: number;
    }[];
    expect(map.map(({ length, type }) => [length, type])).to.deep.equal([
      [65_536, 3],
      [65_536, 0],
      [MIB - 131_072, 3],
    ]);
  });

  it('qemu-io writes, zeroes, discards, flushes and reads back, aligned or not', async function () {
    requires(this, { programs: ['qemu-io'] });
    const disk = new MemoryExport({ sizeBytes: 8 * MIB });
    const { uri } = await serving([disk]);
    const commands = [
      'write -P 7 1M 256k',
      'read -P 7 1M 256k',
      'write -f -P 3 77 1001',
      'read -P 3 77 1001',
      'write -z 1M 32k',
      'write -z -u 1120k 32k',
      'read -P 0 1M 32k',
      'read -P 0 1120k 32k',
      'read -P 7 1056k 64k',
      'discard 1200k 64k',
      'aio_write -P 9 2M 2M',
      'aio_write -P 8 4M 2M',
      'aio_flush',
      'flush',
      'read -P 9 2M 2M',
      'read -P 8 4M 2M',
      'map',
    ];
    const printed = await must('qemu-io', ['-f', 'raw', ...commands.flatMap((one) => ['-c', one]), uri]);
    expect(printed).to.not.match(/fail|Pattern verification/i);
    const did = (what: string): number => disk.calls.filter((call) => call.what === what).length;
    expect(did('trim')).to.be.greaterThan(0);
    expect(did('flush')).to.be.greaterThan(0);
    expect(disk.calls.some(({ what, noHole }) => what === 'writeZeroes' && noHole)).to.equal(true);
    expect(disk.calls.some(({ what, noHole }) => what === 'writeZeroes' && !noHole)).to.equal(true);
    expect(disk.calls.some(({ what, fua }) => what === 'write' && fua)).to.equal(true);
  });

  it('qemu-io is told of a failed write, and writes to a read-only export are refused', async function () {
    requires(this, { programs: ['qemu-io'] });
    const disk = new MemoryExport();
    const { uri } = await serving([disk]);
    disk.failures.push(Object.assign(new Error('disk full'), { code: 'no-space' }));
    const failed = await run('qemu-io', ['-f', 'raw', '-c', 'write 0 4k', uri]);
    expect(failed.stdout + failed.stderr).to.match(/No space left/);
    const readOnly = await serving([new MemoryExport({ readOnly: true })]);
    const refused = await run('qemu-io', ['-f', 'raw', '-c', 'write 0 4k', readOnly.uri]);
    expect(refused.stdout + refused.stderr).to.match(/read-?only|permission denied/i);
  });

  it('qemu-img converts to and from the export', async function () {
    requires(this, { programs: ['qemu-img'] });
    const disk = new MemoryExport({ sizeBytes: 8 * MIB });
    const { uri } = await serving([disk]);
    const folder = testFolder();
    const content = new Seeded(8).bytes(8 * MIB);
    content.fill(0, MIB, 5 * MIB);
    writeFileSync(join(folder, 'in'), content);
    await must('qemu-img', ['convert', '-n', '-f', 'raw', '-O', 'raw', join(folder, 'in'), uri]);
    expect(disk.bytes.equals(content)).to.equal(true);
    await must('qemu-img', ['convert', '-f', 'raw', '-O', 'raw', uri, join(folder, 'out')]);
    expect(readFileSync(join(folder, 'out')).equals(content)).to.equal(true);
    expect(await must('qemu-img', ['info', uri])).to.include('8 MiB');
    expect(await must('qemu-img', ['compare', '-f', 'raw', '-F', 'raw', uri, join(folder, 'in')])).to.include(
      'identical',
    );
  });

  it('nbdfuse shows the export as a file', async function () {
    requires(this, { programs: ['nbdfuse', 'fusermount3'], root: true });
    if (!existsSync('/dev/fuse')) this.skip();
    const disk = new MemoryExport();
    const { uri } = await serving([disk]);
    const folder = join(testFolder(), 'mnt');
    mkdirSync(folder);
    const file = join(folder, 'nbd');
    const child = spawn('nbdfuse', [folder, uri], { stdio: 'ignore' });
    const exited = once(child, 'exit');
    try {
      // The server is in this process: only calls that leave the event loop free may touch the mount.
      await until('the mount is there', async () => (await run('test', ['-f', file])).code === 0);
      await must('sh', ['-c', `printf hello | dd of=${file} bs=5 seek=1000 conv=notrunc,fsync`]);
      const read = await must('dd', [`if=${file}`, 'bs=5', 'skip=1000', 'count=1']);
      expect(read).to.equal('hello');
      expect(disk.bytes.toString('utf8', 5000, 5005)).to.equal('hello');
    } finally {
      await run('fusermount3', ['-u', folder]);
      await exited;
    }
  });

  it('a client killed in mid-request disturbs nobody', async function () {
    requires(this, { programs: ['fio', 'nbdinfo'] });
    const { uri, server } = await serving([new MemoryExport({ sizeBytes: 16 * MIB, later: 4096 })]);
    for (let round = 0; round < 3; round++) {
      const args = [
        '--name=x',
        '--ioengine=nbd',
        `--uri=${uri}`,
        // One process: a killed parent would leave its children at work.
        '--thread',
        '--size=16m',
        '--rw=randrw',
        '--iodepth=32',
      ];
      const child = spawn('fio', [...args, '--time_based', '--runtime=60'], {
        cwd: testFolder(),
        stdio: 'ignore',
      });
      await until('fio is at work', () => server.clientsOf('disk') > 0);
      child.kill('SIGKILL');
      await once(child, 'exit');
      await until('its end is seen', () => server.clientsOf('disk') === 0);
      expect((await must('nbdinfo', ['--size', uri])).trim()).to.equal(String(16 * MIB));
    }
  });
});
