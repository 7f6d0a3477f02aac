import { expect } from 'chai';
import { open, readFile } from 'node:fs/promises';
import { AppliancePair } from '../support/appliance-pair.js';
import { NbdClient } from '../support/nbd-client.js';
import { requires } from '../support/requirements.js';
import { sandboxPerTest } from '../support/sandbox.js';
import { Seeded } from '../support/seeded.js';
import { until } from '../support/until.js';

const BLOCK = 4096;
const CHANGED = 1000;

describe('one byte changed in each of a thousand scattered blocks', function () {
  this.timeout(240_000);
  const sandbox = sandboxPerTest();

  it('crosses the wire in under 20 bytes a block; what is put back costs next to nothing', async function () {
    requires(this, { programs: ['socat'] });
    const random = new Seeded(23);
    const content = new Uint8Array(random.bytes(2 * CHANGED * BLOCK));
    const pair = await AppliancePair.start(sandbox(), { sizeBytes: 16 << 20, content, baudRate: 4_000_000 });
    await pair.sync();

    const change = async (bytes: (block: number) => Uint8Array): Promise<void> => {
      const client = await NbdClient.connect(pair.nbdSocket, pair.volume);
      for (let block = 0; block < 2 * CHANGED; block += 2) await client.write(block * BLOCK, bytes(block));
      client.close();
    };
    const oldBlock = (block: number): Uint8Array => content.slice(block * BLOCK, (block + 1) * BLOCK);
    await change((block) => {
      const bytes = oldBlock(block);
      bytes[random.below(BLOCK)]! ^= 1 + random.below(255);
      return bytes;
    });
    const before = pair.line.bytes.total;
    const second = await pair.sync();
    const crossed = pair.line.bytes.total - before;
    console.log(
      `      ${CHANGED} blocks: ${crossed} bytes on the wire, ${(crossed / CHANGED).toFixed(1)} a block`,
    );
    expect(second.blocks).to.equal(CHANGED);
    expect(crossed).to.be.below(20 * CHANGED);
    const changed = await readFile(pair.device);
    expect((await readFile(await pair.restore('second'))).equals(changed)).to.equal(true);

    await change(() => random.bytes(BLOCK));
    await change((block) => changed.subarray(block * BLOCK, (block + 1) * BLOCK));
    const third = await pair.sync();
    expect([third.blocks, third.bytesSent + third.bytesReceived < 3000]).to.deep.equal([0, true]);
  });

  it('over a rotten block of the copy the set arrives all the same, and a compare finds the block', async function () {
    requires(this, { programs: ['socat'] });
    const random = new Seeded(24);
    const content = new Uint8Array(random.bytes(64 * BLOCK));
    const pair = await AppliancePair.start(sandbox(), { sizeBytes: 1 << 20, content });
    await pair.sync();
    const image = await open(`${pair.backupHome.folder}/store/${pair.copyName}/image`, 'r+');
    await image.write(random.bytes(16), 0, 16, 9 * BLOCK + 100);
    await image.close();

    const client = await NbdClient.connect(pair.nbdSocket, pair.volume);
    for (const block of [5, 9, 20]) {
      await client.write(block * BLOCK, content.slice(block * BLOCK, (block + 1) * BLOCK).fill(1, 7, 9));
    }
    client.close();
    await pair.sync();
    const changed = await readFile(pair.device);
    expect((await readFile(await pair.restore('second'))).equals(changed)).to.equal(true);
    const said = (what: RegExp): boolean => pair.primary.log.some((line) => what.test(line));
    const isCompared = (): boolean => said(/compared with the copy at vault/);
    await until('the copy was compared', isCompared, { timeoutMs: 120_000 });
    expect(said(/not what it should be/)).to.equal(true);
  });
});
