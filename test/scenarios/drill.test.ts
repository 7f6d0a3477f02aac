import { expect } from 'chai';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DrillResult, PointSummary } from '../../src/control/appliance-control.js';
import { AppliancePair } from '../support/appliance-pair.js';
import { farcopy, farcopyJson } from '../support/farcopy.js';
import { NbdClient } from '../support/nbd-client.js';
import { must } from '../support/program.js';
import { requires } from '../support/requirements.js';
import { sandboxPerTest } from '../support/sandbox.js';
import { until } from '../support/until.js';

const MIB = 1 << 20;

describe('a drill', function () {
  this.timeout(90_000);
  const sandbox = sandboxPerTest();

  it('tells a state that is of use from one that is not, by hand and by its schedule', async function () {
    requires(this, { programs: ['mkfs.ext4', 'e2fsck'] });
    const pair = await AppliancePair.create(sandbox(), { sizeBytes: 8 * MIB, line: 'tcp' });
    const { config } = pair.backupHome;
    const text = await readFile(config, 'utf8');
    const drill = `    drill: { command: "e2fsck -fn $DEVICE", schedule: "* * * * * *" }\n`;
    await writeFile(config, text.replace(/^( {4}publicKey: .*\n)/m, `$1${drill}`));
    await must('mkfs.ext4', ['-q', '-F', pair.device]);
    await Promise.all([pair.startPrimary(), pair.startBackup()]);
    await pair.sync();

    const points = (): Promise<readonly PointSummary[]> => farcopyJson(['points', '--config', config]);
    await until('the schedule has drilled it', async () => (await points())[0]?.drill?.passed === true, {
      timeoutMs: 60_000,
      everyMs: 500,
    });
    const good = await farcopyJson<DrillResult>(['drill', pair.copyName, '--config', config]);
    expect([good.passed, good.trouble]).to.deep.equal([true, null]);

    const client = await NbdClient.connect(pair.nbdSocket, pair.volume);
    await client.write(0, Buffer.alloc(64 << 10, 0xee));
    client.close();
    await pair.sync();
    const bad = await farcopy(['drill', pair.copyName, '--json', '--config', config]);
    expect(bad.code).to.equal(1);
    const result = JSON.parse(bad.stdout) as DrillResult;
    expect(result.passed).to.equal(false);
    expect(result.trouble).to.match(/^exit code \d+/);

    const newest = (await points())[0];
    expect(newest?.id).to.equal(result.state);
    expect(newest?.drill?.passed).to.equal(false);
    const old = await farcopyJson<DrillResult>([
      'drill',
      pair.copyName,
      '--at',
      good.state,
      '--config',
      config,
    ]);
    expect(old.passed).to.equal(true);
    expect((await points()).map((point) => point.drill?.passed)).to.deep.equal([false, true]);
    await until(
      'the schedule has told of it',
      async () =>
        (await pair.backup.status()).events.some(({ text: said }) => said.includes('the drill of state')),
      { timeoutMs: 60_000 },
    );
    await pair.backup.stop();
    expect(await readdir(join(pair.backupHome.folder, 'state', 'drill'))).to.deep.equal([]);

    const alone = await farcopyJson<DrillResult>([
      'drill',
      pair.copyName,
      '--command',
      'test -s "$DEVICE" && test "$VOLUME" = ledger',
      '--config',
      config,
    ]);
    expect(alone.passed).to.equal(true);
  });

  it('ends a command that does not end, and says so', async () => {
    const pair = await AppliancePair.start(sandbox(), { sizeBytes: MIB, line: 'tcp' });
    await pair.sync();
    const args = ['drill', pair.copyName, '--command', 'sleep 600', '--timeout', '1s', '--json'];
    const ended = await farcopy([...args, '--config', pair.backupHome.config]);
    expect(ended.code).to.equal(1);
    expect((JSON.parse(ended.stdout) as DrillResult).trouble).to.equal('not done after 1 s');
    const none = await farcopy(['drill', pair.copyName, '--config', pair.backupHome.config]);
    expect(none.stderr).to.match(/^farcopy: no drill is configured for /);
  });
});
