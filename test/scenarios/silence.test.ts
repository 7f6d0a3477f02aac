import { expect } from 'chai';
import { readFile, writeFile } from 'node:fs/promises';
import { AppliancePair } from '../support/appliance-pair.js';
import { farcopy } from '../support/farcopy.js';
import { sandboxPerTest } from '../support/sandbox.js';
import { until } from '../support/until.js';

describe('a primary that falls silent', function () {
  this.timeout(90_000);
  const sandbox = sandboxPerTest();

  it('is told of by its backup, also after a restart, until it is heard again', async () => {
    const pair = await AppliancePair.create(sandbox(), { sizeBytes: 1 << 20, line: 'tcp' });
    const { config } = pair.backupHome;
    const text = await readFile(config, 'utf8');
    await writeFile(config, text.replace(/^( {4}publicKey: .*\n)/m, '$1    silentAfter: 2s\n'));
    await Promise.all([pair.startPrimary(), pair.startBackup()]);
    await pair.sync();
    await pair.primary.stop();
    const silent = (): Promise<boolean> =>
      pair.backup.status().then(({ peers }) => peers?.[0]?.isSilent === true);
    await until('the backup tells of it', silent, { timeoutMs: 30_000 });
    const before = (await pair.backup.status()).peers?.[0]?.lastHeard ?? '';

    await pair.backup.stop();
    await pair.startBackup();
    await until('it tells of it after its restart', silent, { timeoutMs: 30_000 });
    const after = (await pair.backup.status()).peers?.[0]?.lastHeard ?? '';
    expect(Math.abs(Date.parse(after) - Date.parse(before))).to.be.lessThan(2000);
    const { stdout } = await farcopy(['status', '--config', config]);
    expect(stdout).to.match(/^warning: .*: not heard of for .* last at /m);

    await pair.startPrimary();
    await until('it is heard again', async () => !(await silent()), { timeoutMs: 30_000 });
    expect((await pair.backup.status()).events.map((event) => event.text)).to.satisfy(
      (texts: readonly string[]) => texts.some((said) => / is heard again, after /.test(said)),
    );
  });
});
