import { existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { expect } from 'chai';
import type { VolumeService } from '../../../src/engine/volume-service.js';
import { VolumeHost } from '../../../src/host/volume-host.js';
import { Command, Option } from '../../../src/nbd/wire.js';
import { must, run } from '../../support/program.js';
import { requires } from '../../support/requirements.js';
import { Sandbox } from '../../support/sandbox.js';
import { Seeded } from '../../support/seeded.js';
import { Client, infoData } from '../nbd/client.js';

const SIZE = 8 << 20;
const BLOCK = 4096;
const BITMAP = 'qemu:dirty-bitmap:farcopy';

interface MapRow {
  readonly offset: number;
  readonly length: number;
  readonly type: number;
}

/** What backup programs for virtual machines do: read the changed blocks' map, then those blocks, from a snapshot. */
describe('backup programs at a volume', function () {
  this.timeout(60_000);
  let sandbox: Sandbox;
  let host: VolumeHost;
  let volume: VolumeService;

  beforeEach(async () => {
    sandbox = Sandbox.create();
    const device = sandbox.path('ledger.img');
    writeFileSync(device, '');
    truncateSync(device, SIZE);
    host = await VolumeHost.start({
      nbd: { kind: 'unix', path: sandbox.path('s') },
      volumes: [
        {
          name: 'ledger',
          device,
          blockSize: BLOCK,
          folder: sandbox.path('state'),
          beforeImageBudgetBytes: 64 << 20,
        },
      ],
    });
    volume = host.volume('ledger');
  });
  afterEach(async () => {
    await host.close();
    await sandbox.close();
  });

  const uri = (name = ''): string => `nbd+unix:///${encodeURIComponent(name)}?socket=${sandbox.path('s')}`;
  const write = async (offset: number, data: Buffer): Promise<void> => {
    const client = await Client.open(host.address);
    expect((await client.ask({ command: Command.write, offset, data })).error).to.equal(0);
    client.socket.destroy();
  };
  const dirty = (rows: readonly MapRow[]): number[][] =>
    rows.filter(({ type }) => type === 1).map(({ offset, length }) => [offset, length]);
  const map = async (name = ''): Promise<MapRow[]> =>
    JSON.parse(await must('nbdinfo', ['--json', `--map=${BITMAP}`, uri(name)])) as MapRow[];

  it('nbdinfo tells what changed since the confirmed state, beside what is allocated', async function () {
    requires(this, { programs: ['nbdinfo'] });
    await write(0, Buffer.alloc(64 << 10, 7));
    expect(dirty(await map())).to.deep.equal([[0, SIZE]]);
    const state = await volume.seal({ grade: 'crash', pinAs: ['base:vault'] });
    expect(dirty(await map())).to.deep.equal([]);
    await write(BLOCK + 10, Buffer.alloc(2 * BLOCK, 1));
    await write(5 << 20, Buffer.alloc(BLOCK, 1));
    const changes = [
      [BLOCK, 3 * BLOCK],
      [5 << 20, BLOCK],
    ];
    expect(dirty(await map())).to.deep.equal(changes);
    expect(dirty(await map(`ledger@${state.id}`))).to.deep.equal([]);
    const info = JSON.parse(await must('nbdinfo', ['--json', uri()])) as {
      exports: { contexts: string[] }[];
    };
    expect(info.exports[0]?.contexts).to.deep.equal(['base:allocation', BITMAP]);
    const totals = await must('nbdinfo', ['--map=base:allocation', '--totals', uri()]);
    expect(totals).to.match(/^\s*69632\s.*0\s+data$/m);
    // Both contexts of one connection, as qemu's own backup asks for them.
    const client = await Client.open(host.address, { contexts: ['base:allocation', BITMAP] });
    client.send({ command: Command.blockStatus, length: BLOCK });
    const [allocation, bitmap] = [await client.reply(), await client.reply()];
    expect([allocation.data.readUInt32BE(0), allocation.data.readUInt32BE(8)]).to.deep.equal([0, 0]);
    expect([bitmap.data.readUInt32BE(0), bitmap.data.readUInt32BE(8)]).to.deep.equal([1, 0]);
  });

  it('qemu-img reads the same map as its dirty bitmap', async function () {
    requires(this, { programs: ['qemu-img'] });
    await volume.seal({ grade: 'crash', pinAs: ['base:vault'] });
    await write(3 * BLOCK, Buffer.alloc(BLOCK, 1));
    const image = `driver=nbd,server.type=unix,server.path=${sandbox.path('s')},export=ledger,x-dirty-bitmap=${BITMAP}`;
    const rows = JSON.parse(await must('qemu-img', ['map', '--output=json', '--image-opts', image])) as {
      start: number;
      length: number;
      data: boolean;
    }[];
    // qemu tells dirty as "not data", by way of the hole bit.
    expect(rows.filter(({ data }) => !data).map(({ start, length }) => [start, length])).to.deep.equal([
      [3 * BLOCK, BLOCK],
    ]);
  });

  it('a snapshot is listed, copied whole while the volume is written, and is not for writing', async function () {
    requires(this, { programs: ['nbdinfo', 'nbdcopy', 'qemu-io'] });
    const content = new Seeded(5).bytes(SIZE);
    content.fill(0, 1 << 20, 3 << 20);
    writeFileSync(sandbox.path('in'), content);
    await must('nbdcopy', [sandbox.path('in'), uri()]);
    const state = await volume.seal({ grade: 'application', pinAs: ['base:vault'] });
    const name = `ledger@${state.id}`;
    const list = JSON.parse(await must('nbdinfo', ['--list', '--json', uri()])) as {
      exports: { 'export-name': string; is_read_only: boolean; 'export-size': number }[];
    };
    expect(
      list.exports.map((one) => [one['export-name'], one.is_read_only, one['export-size']]),
    ).to.deep.equal([
      ['ledger', false, SIZE],
      [name, true, SIZE],
    ]);
    const writer = await Client.open(host.address);
    const work = { goesOn: true };
    const writing = (async () => {
      for (let i = 0; work.goesOn; i++) {
        const offset = ((i * 37) % (SIZE / BLOCK)) * BLOCK;
        const { error } = await writer.ask({ command: Command.write, offset, data: Buffer.alloc(BLOCK, i) });
        expect(error).to.equal(0);
      }
    })();
    await must('nbdcopy', [uri(name), sandbox.path('out')]);
    work.goesOn = false;
    await writing;
    expect(readFileSync(sandbox.path('out')).equals(content)).to.equal(true);
    const refused = await run('qemu-io', ['-f', 'raw', '-c', 'write 0 4k', uri(name)]);
    expect(refused.stdout + refused.stderr).to.match(/read-?only|not permitted|denied/i);
    // The empty name means the volume, however many snapshots there are.
    expect((await must('nbdinfo', ['--json', uri()])).includes('"is_read_only": false')).to.equal(true);
  });

  it('a snapshot under a name that nobody has is refused, and the volume is not counted as used by it', async () => {
    const state = await volume.seal({ grade: 'crash', pinAs: ['base:vault'] });
    const client = await Client.open(host.address, { name: `ledger@${state.id}` });
    expect((await client.ask({ command: Command.read, length: BLOCK })).error).to.equal(0);
    expect((await volume.describe()).connectedClients).to.equal(0);
    const stranger = await Client.connect(host.address);
    const answer = await stranger.option(Option.go, infoData(`ledger@${'0'.repeat(32)}`));
    expect(answer.at(-1)?.type).to.equal(0x8000_0006);
  });

  it('what changed is fetched as virtnbdbackup does, onto the last copy: map first, then those blocks', async function () {
    requires(this, { programs: ['nbdinfo', 'nbdcopy', 'qemu-io'] });
    writeFileSync(sandbox.path('in'), new Seeded(6).bytes(SIZE));
    await must('nbdcopy', [sandbox.path('in'), uri()]);
    const base = await volume.seal({ grade: 'crash', pinAs: ['base:vault'] });
    await must('nbdcopy', [uri(`ledger@${base.id}`), sandbox.path('copy')]);
    await write(9 * BLOCK, Buffer.alloc(3 * BLOCK, 9));
    await write(SIZE - BLOCK, Buffer.alloc(BLOCK, 8));
    const next = await volume.seal({ grade: 'crash', pinAs: ['travel:vault'] });
    await write(9 * BLOCK, Buffer.alloc(BLOCK, 1));
    const name = `ledger@${next.id}`;
    const rows = dirty(await map(name));
    expect(rows).to.deep.equal([
      [9 * BLOCK, 3 * BLOCK],
      [SIZE - BLOCK, BLOCK],
    ]);
    const copy = readFileSync(sandbox.path('copy'));
    const reader = await Client.open(host.address, { name, structured: false });
    for (const [offset = 0, length = 0] of rows) {
      reader.send({ command: Command.read, offset, length });
      (await reader.reply(length)).data.copy(copy, offset);
    }
    await must('nbdcopy', [uri(name), sandbox.path('whole')]);
    expect(existsSync(sandbox.path('whole'))).to.equal(true);
    expect(copy.equals(readFileSync(sandbox.path('whole')))).to.equal(true);
  });
});
