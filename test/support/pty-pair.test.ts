import { expect } from 'chai';
import { createReadStream, createWriteStream, existsSync } from 'node:fs';
import { requires } from './requirements.js';
import { PtyPair } from './pty-pair.js';
import { sandboxPerTest } from './sandbox.js';
import { Seeded } from './seeded.js';
import { until } from './until.js';

/** Collects what comes out of a device until it hangs up. */
function listen(path: string): { bytes: Buffer[]; ended: boolean } {
  const heard = { bytes: [] as Buffer[], ended: false };
  const stream = createReadStream(path);
  stream.on('data', (chunk) => heard.bytes.push(chunk as Buffer));
  stream.on('error', () => (heard.ended = true)).on('close', () => (heard.ended = true));
  return heard;
}

describe('pty pair', function () {
  this.timeout(30_000);
  const sandbox = sandboxPerTest();

  it('carries all byte values unchanged and counts them; a cut hangs up both ends; it comes back', async function () {
    requires(this, { programs: ['socat'] });
    const line = await PtyPair.open(sandbox());
    const sent = Buffer.concat([
      Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)),
      new Seeded(5).bytes(50_000),
    ]);
    const right = listen(line.right);
    const left = listen(line.left);
    const writer = createWriteStream(line.left);
    writer.on('error', () => undefined);
    const half = line.crossed(sent.length / 2);
    writer.write(sent);
    await half;
    await until('all has come', () => Buffer.concat(right.bytes).length >= sent.length);
    expect(Buffer.concat(right.bytes).equals(sent)).to.equal(true);
    expect(line.bytes).to.deep.equal({ leftToRight: sent.length, rightToLeft: 0, total: sent.length });
    expect(Buffer.concat(left.bytes)).to.have.length(0);

    await line.cut();
    expect(existsSync(line.left)).to.equal(false);
    await until('both ends hang up', () => left.ended && right.ended);
    writer.destroy();

    await line.restore();
    const again = listen(line.left);
    const back = createWriteStream(line.right);
    back.write('back');
    await until('the other direction works', () => Buffer.concat(again.bytes).toString() === 'back');
    expect(line.bytes.rightToLeft).to.equal(4);
    back.destroy();
  });
});
