import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { NbdError } from '../../../src/nbd/errors.js';
import { formatAddress, type NbdAddress } from '../../../src/nbd/listener.js';
import { NbdServer } from '../../../src/nbd/server.js';
import { Command } from '../../../src/nbd/wire.js';
import { systemClock } from '../../../src/platform/clock.js';
import { Client } from './client.js';
import { MemoryExport } from './memory-export.js';
import { serving, testFolder } from './serving.js';

const listen = (address: NbdAddress): Promise<NbdServer> =>
  NbdServer.listen({ address, exports: () => [new MemoryExport()], clock: systemClock });

async function refusal(address: NbdAddress): Promise<NbdError> {
  try {
    await (await listen(address)).close();
  } catch (error) {
    if (error instanceof NbdError) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

describe('where the NBD server listens', () => {
  it('is a socket that only its owner can use, and that is gone after close', async () => {
    const { path, server } = await serving([new MemoryExport()]);
    expect(statSync(path).mode & 0o777).to.equal(0o600);
    await server.close();
    expect(existsSync(path)).to.equal(false);
  });

  it('refuses a path that a live process listens on, and leaves it alone', async () => {
    const { path, address } = await serving([new MemoryExport()]);
    const error = await refusal({ kind: 'unix', path });
    expect(error.code).to.equal('in-use');
    expect(error.message).to.include(path);
    expect((await (await Client.open(address)).ask({ command: Command.flush })).error).to.equal(0);
  });

  it('replaces the socket that a killed process left', async () => {
    const path = join(testFolder(), 's.sock');
    const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`;
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'ignore'] });
    await once(child.stdout, 'data');
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(existsSync(path)).to.equal(true);
    const server = await listen({ kind: 'unix', path });
    expect((await (await Client.open(server.address)).ask({ command: Command.flush })).error).to.equal(0);
    await server.close();
  });

  it('refuses a path where there is a file, and leaves the file alone', async () => {
    const path = join(testFolder(), 'precious');
    writeFileSync(path, 'data');
    expect((await refusal({ kind: 'unix', path })).code).to.equal('bad-address');
    expect(readFileSync(path, 'utf8')).to.equal('data');
  });

  it('refuses a path of more than 107 bytes and takes one of 107', async () => {
    const folder = testFolder();
    const longest = join(folder, 'x'.repeat(107 - folder.length - 1));
    expect((await refusal({ kind: 'unix', path: `${longest}x` })).code).to.equal('path-too-long');
    expect((await refusal({ kind: 'unix', path: `${longest.slice(0, -1)}ü` })).code).to.equal(
      'path-too-long',
    );
    await (await listen({ kind: 'unix', path: longest })).close();
  });

  it('refuses a folder that is not there', async () => {
    const error = await refusal({ kind: 'unix', path: join(testFolder(), 'none', 's.sock') });
    expect(error.code).to.equal('bad-address');
    expect(error.hint).to.include('none');
  });

  it('can be loopback TCP, with a free port when asked for port 0', async () => {
    for (const host of ['127.0.0.1', 'localhost']) {
      const server = await listen({ kind: 'tcp', host, port: 0 });
      expect(formatAddress(server.address)).to.match(/^tcp:\/\/(127\.0\.0\.1|localhost):[1-9]/);
      expect((await refusal(server.address)).code).to.equal('in-use');
      const client = await Client.open(server.address);
      expect((await client.ask({ command: Command.flush })).error).to.equal(0);
      await server.close();
      await client.closed();
    }
  });

  it('refuses any TCP address that others can reach', async () => {
    for (const host of ['0.0.0.0', '::', '192.0.2.1', 'example.org', '127.evil.example']) {
      expect((await refusal({ kind: 'tcp', host, port: 0 })).code, host).to.equal('bad-address');
    }
  });

  it('is found by nbdinfo over TCP', function () {
    if (spawnSync('nbdinfo', ['--version']).error !== undefined) this.skip();
    return (async () => {
      const server = await listen({ kind: 'tcp', host: '127.0.0.1', port: 0 });
      const { port } = server.address as { port: number };
      const child = spawn('nbdinfo', ['--size', `nbd://127.0.0.1:${port}`]);
      const [out] = (await once(child.stdout, 'data')) as [Buffer];
      expect(out.toString().trim()).to.equal('1048576');
      await server.close();
    })();
  });
});
