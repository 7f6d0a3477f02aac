import { expect } from 'chai';
import { mkdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { spawnSync } from 'node:child_process';
import { AppliancePair } from '../support/appliance-pair.js';
import { farcopyJson } from '../support/farcopy.js';
import { NbdClient } from '../support/nbd-client.js';
import { must, run } from '../support/program.js';
import { requires } from '../support/requirements.js';
import { until } from '../support/until.js';
import { sandboxPerTest, type Sandbox } from '../support/sandbox.js';

const MIB = 1 << 20;
const VOLUME = 48 * MIB;
const STATE_DISK = 24 * MIB;
const WRITE = 256 << 10;

describe('a state disk that is full', function () {
  this.timeout(180_000);
  const sandbox = sandboxPerTest();

  /** The primary's state folder, with what is in it, on a small filesystem of its own. */
  async function onSmallDisk(box: Sandbox, folder: string): Promise<void> {
    const image = box.path('small.img');
    await writeFile(image, '');
    await truncate(image, STATE_DISK);
    await must('mkfs.ext4', ['-q', '-F', '-m', '0', '-d', folder, image]);
    await mkdir(folder, { recursive: true });
    await must('mount', ['-o', 'loop', image, folder]);
    box.defer(
      `mount ${folder}`,
      async () => {
        await must('umount', [folder]);
      },
      () => void spawnSync('umount', ['-l', folder]),
    );
  }

  /** Not zeros, so that it has to be kept; compresses to nothing, so that the spool is small. */
  const content = (seed: number, bytes: number): Buffer => Buffer.alloc(bytes, `farcopy ${seed} `);

  /** However long that takes on a busy machine: a sync gives up sooner. */
  async function connected(pair: AppliancePair): Promise<void> {
    const isUp = async (): Promise<boolean> => {
      const [peer] = (await pair.primary.status()).peers ?? [];
      return peer !== undefined && peer.link !== null;
    };
    await until('they are connected', isUp, { timeoutMs: 90_000 });
  }

  it('costs a snapshot at the most: every write succeeds, and the next set has it all', async function () {
    requires(this, { programs: ['mkfs.ext4', 'mount', 'losetup'], root: true });
    const truth = content(1, VOLUME);
    const pair = await AppliancePair.create(sandbox(), { sizeBytes: VOLUME, line: 'tcp', content: truth });
    const state = `${pair.primaryHome.folder}/state`;
    await onSmallDisk(sandbox(), state);
    await pair.startBackup();
    await pair.startPrimary();
    await connected(pair);
    await pair.sync();

    const client = await NbdClient.connect(pair.nbdSocket, pair.volume);
    const write = async (from: number, to: number, seed: number): Promise<void> => {
      for (let at = from; at < to; at += WRITE) {
        const bytes = content(seed + at / WRITE, WRITE);
        await client.write(at, bytes);
        truth.set(bytes, at);
      }
      await client.flush();
    };
    // For deltas alone, as far as the disk has room; then a state is to travel, but nobody is there to take it.
    await write(0, VOLUME, 1000);
    expect(await pair.backup.stop()).to.equal(0);
    await farcopyJson(['snapshot', pair.volume, '--json', '--config', pair.primaryHome.config]);
    expect((await pair.primary.status()).volumes[0]?.warnings).to.deep.equal([]);
    await write(0, VOLUME, 2000);
    const { volumes } = await pair.primary.status();
    expect(volumes[0]?.warnings.join()).to.match(/is given up: what it needs could not be kept/);

    // Somebody else takes the rest: not one byte is free, and the writes go on.
    await run('dd', ['if=/dev/zero', `of=${state}/ballast`, 'bs=4096', 'status=none']);
    await write(0, 16 * MIB, 3000);
    await must('rm', [`${state}/ballast`]);
    await write(8 * MIB, 24 * MIB, 4000);
    client.close();

    await pair.startBackup();
    await connected(pair);
    await pair.sync();
    expect(await readFile(pair.device)).to.satisfy((found: Buffer) => found.equals(truth));
    expect(await readFile(await pair.restore('restored'))).to.satisfy((found: Buffer) => found.equals(truth));
    expect((await pair.primary.status()).volumes[0]?.warnings).to.deep.equal([]);
  });
});
