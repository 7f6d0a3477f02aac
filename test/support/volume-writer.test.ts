import { expect } from 'chai';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { RunningProgram } from './program.js';
import { requires } from './requirements.js';
import { sandboxPerTest, type Sandbox } from './sandbox.js';
import { Seeded, seedOfThisRun } from './seeded.js';
import { NbdClient, NbdRefused } from './nbd-client.js';
import { until } from './until.js';
import { VolumeWriter } from './volume-writer.js';
import { WriteJournal } from './write-journal.js';

/** nbdkit in farcopy's place, so that a fault found here is one of the test's own tools. */
async function nbdkit(sandbox: Sandbox, image: string, socket: string): Promise<RunningProgram> {
  await rm(socket, { force: true });
  const server = RunningProgram.start(sandbox, 'nbdkit', ['-f', '-U', socket, 'file', image]);
  await until('nbdkit listens', () =>
    NbdClient.connect(socket).then(
      (client) => {
        client.close();
        return true;
      },
      () => false,
    ),
  );
  return server;
}

describe('volume writer, against nbdkit', function () {
  this.timeout(60_000);
  const sandbox = sandboxPerTest();

  it('reads back what it wrote, and is told of a refused request', async function () {
    requires(this, { programs: ['nbdkit'] });
    const image = sandbox().path('image');
    const socket = sandbox().path('sock');
    await writeFile(image, Buffer.alloc(1 << 20));
    await nbdkit(sandbox(), image, socket);
    const client = await NbdClient.connect(socket);
    expect(client.sizeBytes).to.equal(1 << 20);
    const noise = new Seeded(1).bytes(5000);
    await client.write(12_345, noise, { fua: true });
    await client.flush();
    expect(await client.read(12_345, 5000)).to.deep.equal(noise);
    await client.writeZeroes(12_345, 1000);
    expect((await client.read(12_345, 1001)).indexOf(noise[1000] ?? 0)).to.be.greaterThan(-1);
    const beyond = await client.read(1 << 20, 512).catch((cause: unknown) => cause);
    expect(beyond).to.be.instanceOf(NbdRefused);
    client.close();
  });

  it('survives the kill of its server, and its journal then fits what is on the disk', async function () {
    requires(this, { programs: ['nbdkit'] });
    const seed = seedOfThisRun();
    console.log(`      SEED=${seed}`);
    const random = new Seeded(seed);
    const journal = new WriteJournal(seed, { blockCount: 256 });
    const image = sandbox().path('image');
    const socket = sandbox().path('sock');
    await writeFile(image, journal.firstImage());
    let server = await nbdkit(sandbox(), image, socket);
    const writer = VolumeWriter.start(sandbox(), { socket, exportName: '', journal, random });
    for (let kill = 0; kill < 3; kill++) {
      await writer.more(200 + random.below(200));
      await server.kill();
      server = await nbdkit(sandbox(), image, socket);
    }
    await writer.more(100);
    await writer.pause();
    expect(journal.checkVolume(await readFile(image))).to.deep.equal([]);
    expect(writer.refusals).to.deep.equal([]);
    expect(journal.acknowledged).to.be.greaterThan(700);
    await writer.stop();
  });
});
