import { expect } from 'chai';
import { cp, open, readFile, rm } from 'node:fs/promises';
import type { CompareResult } from '../../src/control/appliance-control.js';
import { AppliancePair } from '../support/appliance-pair.js';
import { farcopyJson } from '../support/farcopy.js';
import { NbdClient } from '../support/nbd-client.js';
import { requires } from '../support/requirements.js';
import { sandboxPerTest } from '../support/sandbox.js';
import { Seeded } from '../support/seeded.js';

const MIB = 1 << 20;
const BLOCK = 4096;

describe('a compare of a volume with its far copy', function () {
  this.timeout(180_000);
  const sandbox = sandboxPerTest();

  const compare = (pair: AppliancePair): Promise<CompareResult> =>
    farcopyJson<CompareResult>(['compare', pair.volume, '--config', pair.primaryHome.config], {
      timeoutMs: 120_000,
    });
  const copyOf = (pair: AppliancePair): Promise<Buffer> =>
    readFile(`${pair.backupHome.folder}/store/${pair.copyName}/image`);
  const texts = async (pair: AppliancePair): Promise<string> =>
    (await pair.primary.status()).events.map(({ text }) => text).join('\n');

  it('of equal 256 MiB costs under 2 KB, handshake included, while writes go on', async function () {
    requires(this, { programs: ['socat'] });
    const random = new Seeded(31);
    const content = Buffer.alloc(40 * MIB);
    random.fill(content);
    const pair = await AppliancePair.start(sandbox(), { sizeBytes: 256 * MIB, content, line: 'tcp' });
    await pair.sync();
    // A call of its own, so that its handshake counts too.
    expect(await pair.backup.stop()).to.equal(0);
    const before = pair.line.bytes.total;
    await pair.startBackup();
    const equal = await compare(pair);
    const crossed = pair.line.bytes.total - before;
    console.log(`      equal: ${crossed} bytes on the line, ${equal.seconds} s`);
    expect(equal).to.include({ equal: true, differing: 0 });
    expect(crossed).to.be.greaterThan(300).and.lessThan(2000);

    // What is written after the snapshot is no difference of it.
    const client = await NbdClient.connect(pair.nbdSocket, pair.volume);
    const stop = new AbortController();
    const writing = (async (): Promise<number> => {
      let writes = 0;
      for (; !stop.signal.aborted; writes++)
        await client.write(random.below(65_536) * BLOCK, random.bytes(BLOCK));
      return writes;
    })();
    const busy = await compare(pair);
    stop.abort();
    expect(await writing).to.be.greaterThan(10);
    console.log(
      `      under writes: ${busy.differing} blocks written before the snapshot, ${busy.seconds} s`,
    );
    await pair.sync();
    expect(await compare(pair)).to.include({ equal: true });
    client.close();
    expect((await copyOf(pair)).equals(await readFile(pair.device))).to.equal(true);
  });

  it('finds and sends just what differs: behind the back of either side, and from a state that is not known', async function () {
    requires(this, { programs: ['socat'] });
    const random = new Seeded(32);
    const pair = await AppliancePair.start(sandbox(), {
      sizeBytes: 32 * MIB,
      content: random.bytes(8 * MIB),
      baudRate: 8_000_000,
    });
    await pair.sync();

    // The store's image has rotted: nobody knows until it is compared.
    await scribble(`${pair.backupHome.folder}/store/${pair.copyName}/image`, [5 * MIB, 20 * MIB]);
    const rotten = await compare(pair);
    expect(rotten).to.include({ equal: false, differing: 2 });
    expect(rotten.bytesSent + rotten.bytesReceived).to.be.lessThan(40_000);
    expect((await copyOf(pair)).equals(await readFile(pair.device))).to.equal(true);

    // The device was written while farcopy was not in the path: all is in doubt, three blocks go.
    const saved = sandbox().path('saved-state');
    expect(await pair.primary.stop()).to.equal(0);
    await cp(`${pair.primaryHome.folder}/state`, saved, { recursive: true });
    await scribble(pair.device, [0, 3 * MIB, 31 * MIB]);
    await pair.startPrimary();
    const doubtful = await pair.sync();
    expect(doubtful.blocks).to.equal(3);
    expect(doubtful.bytesSent + doubtful.bytesReceived).to.be.lessThan(40_000);
    expect(await texts(pair)).to.match(/may have gone unnoticed/);
    for (const appliance of [pair.primary, pair.backup]) {
      expect((await appliance.status()).volumes[0]?.warnings).to.deep.equal([]);
    }
    const told = (await pair.backup.status()).events.map(({ text }) => text).join('\n');
    expect(told).to.match(/does not trust .*written while farcopy was not in the path/);
    expect(told).to.match(/has compared its volume with this copy: 3 blocks differ/);
    expect((await copyOf(pair)).equals(await readFile(pair.device))).to.equal(true);

    // The state folder is one of before: the backup's state is not known any more.
    expect(await pair.primary.stop()).to.equal(0);
    await rm(`${pair.primaryHome.folder}/state`, { recursive: true });
    await cp(saved, `${pair.primaryHome.folder}/state`, { recursive: true });
    await scribble(pair.device, [9 * MIB]);
    await pair.startPrimary();
    const stranger = await pair.sync();
    expect(stranger.blocks).to.equal(1);
    expect(await texts(pair)).to.match(/does not know.*compared/);
    expect((await copyOf(pair)).equals(await readFile(pair.device))).to.equal(true);
    const points = await pair.points();
    expect(points.map(({ id }) => id).slice(0, 2)).to.deep.equal([stranger.state, doubtful.state]);
    expect((await compare(pair)).equal).to.equal(true);
  });

  it('without a copy says what to do', async function () {
    requires(this, { programs: ['socat'] });
    const pair = await AppliancePair.start(sandbox(), { sizeBytes: MIB });
    const failure = await compare(pair).catch((error: unknown) => String(error));
    expect(failure)
      .to.match(/no finished copy/)
      .and.to.match(/farcopy sync/);
  });
});

/** Writes a few bytes behind everybody's back. */
async function scribble(path: string, places: readonly number[]): Promise<void> {
  const file = await open(path, 'r+');
  try {
    for (const place of places) await file.write(Buffer.from('scribbled'), 0, 9, place);
  } finally {
    await file.close();
  }
}
