import { expect } from 'chai';
import { open, stat } from 'node:fs/promises';
import { AppliancePair } from '../support/appliance-pair.js';
import { NbdClient } from '../support/nbd-client.js';
import { requires } from '../support/requirements.js';
import { sandboxPerTest } from '../support/sandbox.js';
import { Seeded } from '../support/seeded.js';

const TIB = 2 ** 40;
const MIB = 1 << 20;
/** The limits that the product promises. */
const OPEN_MS = 2000;
const MEMORY_BYTES = 250 * MIB;

describe('a sparse volume of 1 TiB', function () {
  this.timeout(180_000);
  const sandbox = sandboxPerTest();

  it('opens in under 2 s and 250 MB, takes writes at its end, and is copied in seconds', async function () {
    requires(this, { programs: ['socat'] });
    const pair = await AppliancePair.create(sandbox(), { sizeBytes: TIB });
    // The whole start of the process counts; the machine may be busy with something else once, not three times.
    const times: number[] = [];
    for (let attempt = 0; attempt < 3; attempt++) {
      if (attempt > 0) expect(await pair.primary.stop()).to.equal(0);
      const began = performance.now();
      await pair.startPrimary();
      times.push(performance.now() - began);
    }
    const opened = await pair.primary.memory();
    console.log(
      `      ready after ${times.map((ms) => ms.toFixed(0)).join(', ')} ms (the process's start included), ` +
        `${(opened.peak / MIB).toFixed(0)} MiB at most`,
    );
    expect(Math.min(...times)).to.be.lessThan(OPEN_MS);
    expect(opened.peak).to.be.lessThan(MEMORY_BYTES);

    const client = await NbdClient.connect(pair.nbdSocket, pair.volume);
    expect(client.sizeBytes).to.equal(TIB);
    const random = new Seeded(9);
    const places = [0, 4096 * 7, TIB / 2, TIB - 4096];
    const written = places.map(() => random.bytes(4096));
    for (const [index, place] of places.entries()) await client.write(place, written[index]!);
    await pair.startBackup();
    const first = await pair.sync();
    await client.write(TIB / 4, random.bytes(4096));
    const second = await pair.sync();
    client.close();
    console.log(
      `      first copy: ${first.blocks} blocks, ${first.bytesSent + first.bytesReceived} bytes, ${first.seconds} s; ` +
        `then one block: ${second.bytesSent + second.bytesReceived} bytes, ${second.seconds} s`,
    );
    expect(first.bytesSent + first.bytesReceived).to.be.lessThan(4 * 4096 + 6000);
    expect(second.blocks).to.equal(1);
    const [primary, backup] = await Promise.all([pair.primary.memory(), pair.backup.memory()]);
    console.log(
      `      at most ${(primary.peak / MIB).toFixed(0)} MiB in the primary, ${(backup.peak / MIB).toFixed(0)} in the backup`,
    );
    expect(primary.peak).to.be.lessThan(MEMORY_BYTES);
    expect(backup.peak).to.be.lessThan(MEMORY_BYTES);

    const restored = await pair.restore('restored', first.state);
    const { size, blocks } = await stat(restored);
    expect(size).to.equal(TIB);
    expect(blocks * 512, 'bytes on the disk').to.be.lessThan(4 * MIB);
    const file = await open(restored);
    try {
      for (const [index, place] of places.entries()) {
        const block = Buffer.alloc(4096);
        await file.read(block, 0, 4096, place);
        expect(block.equals(written[index]!), `block at ${place}`).to.equal(true);
      }
      const later = Buffer.alloc(4096);
      await file.read(later, 0, 4096, TIB / 4);
      expect(
        later.every((byte) => byte === 0),
        'the second state is not in the first',
      ).to.equal(true);
    } finally {
      await file.close();
    }
  });
});
