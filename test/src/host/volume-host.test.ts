import { existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import type { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import { blockIndex } from '../../../protocol/units.js';
import { VolumeError } from '../../../src/engine/errors.js';
import type { VolumeService } from '../../../src/engine/volume-service.js';
import { VolumeHost, type HostedVolume } from '../../../src/host/volume-host.js';
import { NbdError } from '../../../src/nbd/errors.js';
import { Command } from '../../../src/nbd/wire.js';
import { must } from '../../support/program.js';
import { requires } from '../../support/requirements.js';
import { Sandbox } from '../../support/sandbox.js';
import { Seeded } from '../../support/seeded.js';
import { Client } from '../nbd/client.js';

const SIZE = 4 << 20;
const BLOCK = 4096;

describe('a volume host', () => {
  let sandbox: Sandbox;
  const hosts: VolumeHost[] = [];

  beforeEach(() => (sandbox = Sandbox.create()));
  afterEach(async () => {
    await Promise.all(hosts.splice(0).map((host) => host.close()));
    await sandbox.close();
  });

  function hosted(name: string): HostedVolume {
    const device = sandbox.path(`${name}.img`);
    if (!existsSync(device)) {
      writeFileSync(device, '');
      truncateSync(device, SIZE);
    }
    const folder = sandbox.path('state', name);
    return { name, device, blockSize: BLOCK, folder, beforeImageBudgetBytes: 64 << 20 };
  }

  async function start(volumes: readonly HostedVolume[], socket = 's.sock'): Promise<VolumeHost> {
    const host = await VolumeHost.start({ nbd: { kind: 'unix', path: sandbox.path(socket) }, volumes });
    hosts.push(host);
    return host;
  }

  const failureOf = (promise: Promise<unknown>): Promise<unknown> =>
    promise.then(
      () => expect.fail('it did not fail'),
      (error: unknown) => error,
    );

  /** All of a set, put together from zeros. */
  async function collectAll(volume: VolumeService, set: Parameters<VolumeService['countChanges']>[0]) {
    const image = Buffer.alloc(SIZE);
    for (let cursor: number | null = 0; cursor !== null;) {
      const part = await volume.collect({ ...set, cursor: blockIndex(cursor), maxContentBytes: 300_000 });
      expect(part.unavailable).to.deep.equal([]);
      let at = 0;
      for (const { start: block, count, zero } of part.runs) {
        if (zero) continue;
        image.set(part.content.subarray(at, (at += count * BLOCK)), block * BLOCK);
      }
      cursor = part.next;
    }
    return image;
  }

  it('takes a copy in by nbdcopy, seals it, and gives the sealed state whole though writes go on', async function () {
    requires(this, { programs: ['nbdcopy'] });
    const content = new Seeded(3).bytes(SIZE);
    content.fill(0, SIZE / 4, SIZE / 2);
    writeFileSync(sandbox.path('in'), content);
    const host = await start([hosted('ledger')]);
    const path = sandbox.path('s.sock');
    await must('nbdcopy', [sandbox.path('in'), `nbd+unix:///?socket=${path}`]);
    const volume = host.volume('ledger');
    expect((await volume.describe()).dirtyBlocks).to.be.greaterThan(0);
    const state = await volume.seal({ grade: 'application', note: 'copied', pinAs: ['vault'] });

    const client = await Client.open(host.address);
    const writer = { isAtWork: true };
    const writing = (async () => {
      for (let i = 0; writer.isAtWork; i++) {
        const offset = (i * 37 * BLOCK) % SIZE;
        const { error } = await client.ask({ command: Command.write, offset, data: Buffer.alloc(BLOCK, i) });
        expect(error).to.equal(0);
      }
    })();
    const collected = await collectAll(volume, { from: null, to: state.id });
    writer.isAtWork = false;
    await writing;
    expect(collected.equals(content)).to.equal(true);
    const told = await volume.describe();
    expect([told.connectedClients, told.pins['vault'], told.lastState?.note]).to.deep.equal([
      1,
      state.id,
      'copied',
    ]);
  });

  it('answers NBD requests while a set is sealed and collected', async () => {
    const host = await start([hosted('v')]);
    const volume = host.volume('v');
    const client = await Client.open(host.address);
    await client.ask({ command: Command.write, data: new Seeded(4).bytes(SIZE / 2) });
    const state = await volume.seal({ grade: 'crash', pinAs: ['vault'] });
    const collector = { isAtWork: true };
    const collecting = collectAll(volume, { from: null, to: state.id }).then(
      () => (collector.isAtWork = false),
    );
    let answered = 0;
    while (collector.isAtWork) {
      expect((await client.ask({ command: Command.read, offset: 0, length: BLOCK })).error).to.equal(0);
      answered++;
    }
    await collecting;
    expect(answered).to.be.greaterThan(0);
  });

  it('keeps several volumes on one socket apart, and all they were told over a restart', async () => {
    const volumes = [hosted('a'), hosted('b')];
    const first = await start(volumes);
    const client = await Client.open(first.address, { name: 'b' });
    await client.ask({ command: Command.write, offset: BLOCK, data: Buffer.alloc(BLOCK, 9) });
    expect((await first.volume('a').describe()).dirtyBlocks).to.equal(0);
    const state = await first.volume('b').seal({ grade: 'crash', pinAs: ['vault'] });
    await first.close();
    await client.closed();
    expect(existsSync(sandbox.path('s.sock'))).to.equal(false);
    expect(await failureOf(first.volume('a').describe())).to.include({ code: 'closed' });

    const again = await start(volumes);
    expect((await again.volume('b').describe()).lastState?.id).to.equal(state.id);
    const image = await collectAll(again.volume('b'), { from: null, to: state.id });
    expect(image.equals(readFileSync(sandbox.path('b.img')))).to.equal(true);
    expect(image[BLOCK]).to.equal(9);
  });

  it('fails with the volume error, with nothing left open, when a device is missing', async () => {
    const good = hosted('good');
    const bad = { ...hosted('bad'), device: sandbox.path('none.img') };
    const error = await failureOf(start([good, bad]));
    expect(error).to.be.instanceOf(VolumeError);
    expect(error).to.include({ code: 'missing-device' });
    expect(existsSync(sandbox.path('s.sock'))).to.equal(false);
    await start([good]);
  });

  it('fails with in-use before it touches a volume when the socket is taken', async () => {
    await start([hosted('a')]);
    const error = await failureOf(start([hosted('b')]));
    expect(error).to.be.instanceOf(NbdError);
    expect(error).to.include({ code: 'in-use' });
    expect(existsSync(sandbox.path('state', 'b'))).to.equal(false);
  });

  it('gives an opening up when told to', async () => {
    const controller = new AbortController();
    const nbd = { kind: 'unix', path: sandbox.path('s.sock') } as const;
    const starting = VolumeHost.start({ nbd, volumes: [hosted('a')], signal: controller.signal });
    controller.abort(new Error('enough'));
    expect(await failureOf(starting)).to.be.instanceOf(Error);
    await start([hosted('a')]);
  });

  it('says so, and fails every call, when its thread dies', async () => {
    const thread = new Promise<Worker>((resolve) => process.once('worker', resolve));
    const host = await start([hosted('a')]);
    const failed = new Promise<Error>((resolve) => host.onFailed(resolve));
    await (await thread).terminate();
    expect(await failed).to.include({ code: 'closed' });
    expect(await failureOf(host.volume('a').describe())).to.include({ code: 'closed' });
    const late = await new Promise<Error>((resolve) => host.onFailed(resolve));
    expect(late).to.equal(await failed);
  });
});
