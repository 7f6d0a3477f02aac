import { expect } from 'chai';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PointSummary, ScrubResult } from '../../src/control/appliance-control.js';
import { AppliancePair } from '../support/appliance-pair.js';
import { farcopy, farcopyJson } from '../support/farcopy.js';
import { NbdClient } from '../support/nbd-client.js';
import { must } from '../support/program.js';
import { sandboxPerTest } from '../support/sandbox.js';
import { Seeded } from '../support/seeded.js';
import { until } from '../support/until.js';

const MIB = 1 << 20;
const BLOCK = 4096;

describe('a scrub of a far copy', function () {
  this.timeout(120_000);
  const sandbox = sandboxPerTest();

  /** Overwrites a few bytes in the middle of a block, behind everybody's back. */
  const rot = async (path: string, block: number): Promise<void> => {
    const garbage = sandbox().path('garbage');
    await writeFile(garbage, 'rotten');
    const place = [`bs=1`, `seek=${block * BLOCK + 1000}`, 'conv=notrunc', 'status=none'];
    await must('dd', [`if=${garbage}`, `of=${path}`, ...place]);
  };

  it('finds exactly what has rotted, and the next sync heals the image', async () => {
    const random = new Seeded(41);
    const content = random.bytes(4 * MIB);
    const pair = await AppliancePair.start(sandbox(), { sizeBytes: 16 * MIB, content, line: 'tcp' });
    const { config, folder } = pair.backupHome;
    const scrub = async (): Promise<{ readonly code: number | null; readonly result: ScrubResult }> => {
      const { code, stdout } = await farcopy(['scrub', pair.copyName, '--json', '--config', config]);
      return { code, result: JSON.parse(stdout) as ScrubResult };
    };
    await pair.sync();
    const client = await NbdClient.connect(pair.nbdSocket, pair.volume);
    await client.write(100 * BLOCK, random.bytes(3 * BLOCK));
    await pair.sync();
    const clean = await scrub();
    expect(clean.code).to.equal(0);
    expect(clean.result).to.deep.include({
      ...{ digests: 'checked', passed: true, blocks: 1024, rotten: [], unknown: [], records: [] },
      increments: { files: 1, blocks: 3, damaged: [] },
    });

    const copy = join(folder, 'store', pair.copyName);
    const [increment] = await readdir(join(copy, 'increments'));
    await rot(join(copy, 'image'), 500);
    // Behind the increment's header, so old block 101.
    await rot(join(copy, 'increments', increment!), 2);
    const [newest, oldest] = await pair.points();
    const found = await scrub();
    expect(found.code).to.equal(1);
    expect(found.result).to.deep.include({
      passed: false,
      rotten: [{ start: 500, end: 501 }],
      rottenBlocks: 1,
    });
    expect(found.result.increments.damaged).to.deep.equal([
      { point: oldest!.id, blocks: [{ start: 101, end: 102 }] },
    ]);
    expect(found.result.points.map(({ id, blocks }) => [id, blocks])).to.deep.equal([
      [newest!.id, 1],
      [oldest!.id, 2],
    ]);
    const text = await farcopy(['scrub', pair.copyName, '--config', config]);
    expect(text.stdout).to.match(/DAMAGED.*\n.*\nrotten in the image: blocks 500\n/);
    expect(text.stderr).to.match(/farcopy sync ledger/);
    const warnings = (await pair.backup.status()).volumes[0]?.warnings.join('\n');
    expect(warnings)
      .to.match(/the copy has 1 rotten block;/)
      .and.to.match(/blocks are missing from 2 restore points/);
    const points = await farcopyJson<readonly PointSummary[]>(['points', '--config', config]);
    expect(points.map((point) => point.scrub?.lostBlocks)).to.deep.equal([1, 2]);

    // Nothing of it is restored as if it was good.
    const out = sandbox().path('restored.img');
    const restore = ['restore', pair.copyName, '--to', out, '--config', config];
    const refused = await farcopy(restore);
    expect(refused.code).to.equal(1);
    expect(refused.stderr).to.match(/block 500 of the copy is not what it should be/);
    const anyhow = await farcopy([...restore, '--damaged']);
    expect([anyhow.code, /these blocks are not what they were: 500/.test(anyhow.stderr)]).to.deep.equal([
      1,
      true,
    ]);

    await client.write(900 * BLOCK, random.bytes(BLOCK));
    client.close();
    const healing = await pair.sync();
    expect(healing.blocks).to.equal(2);
    const after = await scrub();
    expect(after.result).to.deep.include({ rotten: [], unknown: [] });
    // The increment cannot be healed; the point that the rotten block of the image had spoiled is whole again.
    expect(after.result.points.map(({ id, blocks }) => [id, blocks])).to.deep.equal([[oldest!.id, 1]]);
    expect((await pair.backup.status()).volumes[0]?.warnings.join()).to.not.match(/not what they should be/);
    await farcopyJson([...restore, '--force']);
    expect((await readFile(out)).equals(await readFile(pair.device))).to.equal(true);

    // Without an appliance, on the store alone.
    expect(await pair.backup.stop()).to.equal(0);
    expect((await scrub()).result.rotten).to.deep.equal([]);
    expect((await stat(join(copy, 'digests'))).size).to.be.lessThan(64 << 10);
  });

  it('runs by its schedule', async () => {
    const pair = await AppliancePair.create(sandbox(), { sizeBytes: MIB, line: 'tcp' });
    const { config } = pair.backupHome;
    const text = await readFile(config, 'utf8');
    const scrub = `    scrub: { schedule: "* * * * * *", rate: 50MiB }\n`;
    await writeFile(config, text.replace(/^( {4}publicKey: .*\n)/m, `$1${scrub}`));
    await Promise.all([pair.startPrimary(), pair.startBackup()]);
    await pair.sync();
    await until(
      'the schedule has scrubbed it',
      async () => (await pair.backup.status()).volumes[0]?.lastScrub?.passed === true,
      { timeoutMs: 60_000, everyMs: 500 },
    );
  });
});
