import { expect } from 'chai';
import { existsSync } from 'node:fs';
import { serveState } from '../../../src/export/served-state.js';
import { systemClock } from '../../../src/platform/clock.js';
import { nodeFiles } from '../../../src/platform/node-files.js';
import { systemRandom } from '../../../src/platform/random.js';
import { must, run } from '../../support/program.js';
import { requires } from '../../support/requirements.js';
import { sandboxPerTest } from '../../support/sandbox.js';
import { Seeded } from '../../support/seeded.js';
import { storedState } from './stored-state.js';

const SIZE = 4 << 20;

describe('a state served over NBD', function () {
  this.timeout(60_000);
  const sandbox = sandboxPerTest();
  const content = new Uint8Array(SIZE);
  content.set(new Seeded(5).bytes(300_000), 1 << 20);
  const names = { name: 'ledger', description: 'branch/ledger as of last week' };

  const serve = async (
    writable: boolean,
  ): Promise<{ uri: string; stop: () => Promise<void>; socket: string }> => {
    const socket = sandbox().path('old.sock');
    const reader = await storedState(content, 4096);
    const overlay = writable ? { files: nodeFiles, random: systemRandom, folder: sandbox().folder } : null;
    const stop = await serveState(reader, { names, socket, clock: systemClock, overlay });
    const end = sandbox().defer('the export', async () => {
      await stop();
      await reader.close();
    });
    return { uri: `nbd+unix:///?socket=${socket}`, stop: end, socket };
  };

  it('read-only: tells clients so, serves it exactly with its holes, and takes no write', async function () {
    requires(this, { programs: ['nbdinfo', 'qemu-io'] });
    const { uri, stop, socket } = await serve(false);
    const info = JSON.parse(await must('nbdinfo', ['--json', uri])) as {
      exports: { is_read_only: boolean; 'export-size': number; description: string }[];
    };
    expect(info.exports[0]).to.deep.include({
      is_read_only: true,
      'export-size': SIZE,
      description: 'branch/ledger as of last week',
    });
    const map = JSON.parse(await must('nbdinfo', ['--map', '--json', uri])) as { type: number }[];
    expect(map.map(({ type }) => type)).to.deep.equal([3, 0, 3]);
    const copy = sandbox().path('copy');
    await must('nbdcopy', [uri, copy]);
    expect(Buffer.compare(await nodeFiles.readWhole(copy, SIZE), content)).to.equal(0);
    const written = await run('qemu-io', ['-f', 'raw', '-c', 'write 0 4096', uri]);
    expect(written.code).to.not.equal(0);
    await stop();
    expect(existsSync(socket)).to.equal(false);
  });

  it('writable: clients see what they write, the next export does not', async function () {
    requires(this, { programs: ['qemu-io', 'nbdcopy'] });
    const { uri, stop } = await serve(true);
    await must('qemu-io', ['-f', 'raw', '-c', 'write -P 7 1000000 70000', '-c', 'flush', uri]);
    await must('qemu-io', ['-f', 'raw', '-c', 'write -z 1200000 5000', '-c', 'discard 0 65536', uri]);
    const copy = sandbox().path('copy');
    await must('nbdcopy', [uri, copy]);
    const wanted = Uint8Array.from(content);
    wanted.fill(7, 1_000_000, 1_070_000);
    wanted.fill(0, 1_200_000, 1_205_000);
    expect(Buffer.compare(await nodeFiles.readWhole(copy, SIZE), wanted)).to.equal(0);
    await stop();
    const again = await serve(false);
    await must('nbdcopy', [again.uri, copy]);
    expect(Buffer.compare(await nodeFiles.readWhole(copy, SIZE), content)).to.equal(0);
    await again.stop();
  });

  it('says that its socket is in use, and lets go of the overlay', async () => {
    const { stop, socket } = await serve(false);
    const reader = await storedState(content, 4096);
    const overlay = { files: nodeFiles, random: systemRandom, folder: sandbox().folder };
    const failure: unknown = await serveState(reader, { names, socket, clock: systemClock, overlay }).catch(
      (cause: unknown) => cause,
    );
    expect(failure).to.have.property('code', 'in-use');
    await stop();
  });
});
