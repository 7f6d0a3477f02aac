import { expect } from 'chai';
import { readFile } from 'node:fs/promises';
import { AppliancePair } from '../support/appliance-pair.js';
import { NbdClient } from '../support/nbd-client.js';
import { requires } from '../support/requirements.js';
import { sandboxPerTest } from '../support/sandbox.js';
import { Seeded } from '../support/seeded.js';

const BLOCK = 4096;

describe('a second sync after a small change', function () {
  this.timeout(120_000);
  const sandbox = sandboxPerTest();

  it('sends five changed blocks and little else: under 24 KB both ways, counted on the wire', async function () {
    requires(this, { programs: ['socat'] });
    const random = new Seeded(11);
    const pair = await AppliancePair.start(sandbox(), {
      sizeBytes: 16 << 20,
      content: random.bytes(1 << 20),
    });
    const first = await pair.sync();
    const original = await readFile(pair.device);

    const client = await NbdClient.connect(pair.nbdSocket, pair.volume);
    for (const block of [3, 77, 78, 1500, 4095]) await client.write(block * BLOCK, random.bytes(BLOCK));
    client.close();
    const before = pair.line.bytes;
    const second = await pair.sync();
    const after = pair.line.bytes;
    const crossed = after.total - before.total;
    console.log(
      `      five blocks (${5 * BLOCK} bytes): ${after.leftToRight - before.leftToRight} bytes there, ` +
        `${after.rightToLeft - before.rightToLeft} back`,
    );
    expect(second.blocks).to.equal(5);
    expect(second.bytesRepeated).to.equal(0);
    expect(crossed)
      .to.be.greaterThan(5 * BLOCK)
      .and.lessThan(24_000);
    expect(second.bytesSent + second.bytesReceived)
      .to.be.greaterThan(5 * BLOCK)
      .and.lessThan(24_000);

    const changed = await readFile(pair.device);
    expect(changed.equals(original)).to.equal(false);
    expect((await readFile(await pair.restore('second'))).equals(changed)).to.equal(true);

    // Nothing changed: still a state of its own, and next to nothing on the line.
    const third = await pair.sync();
    console.log(`      nothing changed: ${third.bytesSent} bytes there, ${third.bytesReceived} back`);
    expect(third.blocks).to.equal(0);
    expect(third.bytesSent + third.bytesReceived).to.be.lessThan(3000);
    const points = await pair.points();
    expect(points.map(({ id }) => id)).to.deep.equal([third.state, second.state, first.state]);
    expect((await readFile(await pair.restore('first', first.state))).equals(original)).to.equal(true);
    expect((await readFile(await pair.restore('third'))).equals(changed)).to.equal(true);
  });
});
