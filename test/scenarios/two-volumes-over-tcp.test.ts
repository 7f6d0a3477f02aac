import { expect } from 'chai';
import { readFile, writeFile } from 'node:fs/promises';
import type { PointSummary, SyncResult } from '../../src/control/appliance-control.js';
import { AppliancePair } from '../support/appliance-pair.js';
import { farcopyJson } from '../support/farcopy.js';
import { NbdClient } from '../support/nbd-client.js';
import { sandboxPerTest } from '../support/sandbox.js';
import { Seeded } from '../support/seeded.js';

const MIB = 1 << 20;

describe('two volumes over TCP', function () {
  this.timeout(120_000);
  const sandbox = sandboxPerTest();

  it('are synced at the same time over one connection that breaks, each to its own copy', async () => {
    const random = new Seeded(21);
    const pair = await AppliancePair.create(sandbox(), {
      sizeBytes: 24 * MIB,
      content: random.bytes(20 * MIB),
      line: 'tcp',
    });
    const { folder, config } = pair.primaryHome;
    await writeFile(`${folder}/books.img`, random.bytes(24 * MIB));
    const text = await readFile(config, 'utf8');
    const entry = text.slice(text.indexOf('  - name: ledger'), text.indexOf('backups:'));
    await writeFile(config, text.replace(entry, entry + entry.replaceAll('ledger', 'books')));
    await Promise.all([pair.startPrimary(), pair.startBackup()]);

    const args = ['--config', config];
    const both = (): Promise<SyncResult[]> =>
      Promise.all([
        farcopyJson<SyncResult>(['sync', 'ledger', ...args]),
        farcopyJson<SyncResult>(['sync', 'books', ...args]),
      ]);
    const syncing = both();
    await pair.line.crossed(3 * MIB);
    await pair.line.cut();
    await pair.line.restore();
    await pair.line.crossed(10 * MIB);
    await pair.line.cut();
    await pair.line.restore();
    const [ledger, books] = await syncing;
    console.log(
      `      ${pair.line.bytes.total} bytes crossed for ${44 * MIB} of content; ${ledger?.seconds} s`,
    );
    expect(pair.line.bytes.total).to.be.lessThan(60 * MIB);
    for (const volume of ['ledger', 'books']) {
      const to = sandbox().path(`${volume}.restored`);
      await farcopyJson(['restore', `branch/${volume}`, '--to', to, '--config', pair.backupHome.config]);
      expect((await readFile(to)).equals(await readFile(`${folder}/${volume}.img`)), volume).to.equal(true);
    }

    // A change of one is no change of the other.
    const client = await NbdClient.connect(`${folder}/state/books.sock`, 'books');
    await client.write(5 * MIB, random.bytes(8192));
    client.close();
    const [same, changed] = await both();
    expect(same?.blocks).to.equal(0);
    expect(changed?.blocks).to.equal(2);
    const points = await farcopyJson<readonly PointSummary[]>(['points', '--config', pair.backupHome.config]);
    const statesOf = (volume: string): string[] =>
      points.filter((point) => point.volume === volume).map(({ id }) => id);
    expect(statesOf('ledger')).to.deep.equal([same?.state, ledger?.state]);
    expect(statesOf('books')).to.deep.equal([changed?.state, books?.state]);
  });
});
