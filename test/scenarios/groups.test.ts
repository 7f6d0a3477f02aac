import { expect } from 'chai';
import { readFile, truncate, writeFile } from 'node:fs/promises';
import type { PointSummary, SyncResult } from '../../src/control/appliance-control.js';
import { AppliancePair } from '../support/appliance-pair.js';
import { farcopy, farcopyJson } from '../support/farcopy.js';
import { NbdClient } from '../support/nbd-client.js';
import { sandboxPerTest } from '../support/sandbox.js';

const SIZE = 1 << 20;
const BLOCK = 4096;

describe('volumes of a group', function () {
  this.timeout(120_000);
  const sandbox = sandboxPerTest();

  it('are copied as they were at one instant, whoever asks, between one pair of commands', async () => {
    const story = sandbox().path('story');
    const pair = await AppliancePair.create(sandbox(), {
      sizeBytes: SIZE,
      line: 'tcp',
      volumeSettings: [
        'group: books',
        `consistency: { before: "echo before $FARCOPY_GROUP $FARCOPY_VOLUME >> ${story}", after: "echo after >> ${story}" }`,
      ],
    });
    const second = `${pair.primaryHome.folder}/journal.img`;
    await writeFile(second, '');
    await truncate(second, SIZE);
    await pair.configurePrimary((text) =>
      text.replace(
        'backups:',
        '  - { name: journal, device: ./journal.img, nbd: "unix:./state/journal.sock", group: books }\nbackups:',
      ),
    );
    await Promise.all([pair.startPrimary(), pair.startBackup()]);

    const clients = [
      await NbdClient.connect(pair.nbdSocket, pair.volume),
      await NbdClient.connect(`${pair.primaryHome.folder}/state/journal.sock`, 'journal'),
    ];
    const stop = new AbortController();
    const writing = (async () => {
      for (let counter = 1; !stop.signal.aborted; counter++) {
        for (const client of clients) {
          const block = Buffer.alloc(BLOCK, 1);
          block.writeUInt32LE(counter);
          await client.write(0, block);
        }
      }
    })();

    const config = ['--config', pair.backupHome.config];
    const seen = new Set<string>();
    for (const asked of ['ledger', 'journal', 'ledger']) {
      const primary = ['--config', pair.primaryHome.config];
      await farcopyJson<SyncResult>(['sync', asked, ...primary], { timeoutMs: 60_000 });
      const newest = await Promise.all(
        ['ledger', 'journal'].map(async (name) => {
          const points = await farcopyJson<PointSummary[]>(['points', `branch/${name}`, ...config]);
          return points[0];
        }),
      );
      const [ledger, journal] = newest;
      expect(ledger?.group, 'both have arrived, of one instant').to.match(/^[0-9a-f]{32}$/);
      expect(journal?.group).to.equal(ledger?.group);
      expect(journal?.time).to.equal(ledger?.time);
      expect(ledger?.grade).to.equal('application');
      seen.add(ledger?.group ?? '');
      const [first = 0, then = 0] = await Promise.all(
        ['ledger', 'journal'].map(async (name) => {
          const to = sandbox().path(`${name}-${seen.size}`);
          await farcopyJson(['restore', `branch/${name}`, '--to', to, ...config]);
          return (await readFile(to)).readUInt32LE(0);
        }),
      );
      expect(first, 'the writer was at work').to.be.greaterThan(0);
      expect(first - then, 'the second is never ahead').to.be.within(0, 1);
    }
    stop.abort();
    await writing;
    for (const client of clients) client.close();
    expect(seen.size).to.equal(3);
    expect((await readFile(story, 'utf8')).trim().split('\n')).to.deep.equal(
      [1, 2, 3].flatMap(() => ['before books ledger journal', 'after']),
    );

    expect(await pair.primary.stop()).to.equal(0);
    await pair.configurePrimary((text) =>
      text.replace('group: books }', 'group: books, schedule: "0 5 * * *" }'),
    );
    const { code, stderr } = await farcopy(['primary', '--headless', '--config', pair.primaryHome.config]);
    expect(code).to.equal(2);
    expect(stderr).to.match(/volumes\[1\].schedule: .*group books is sealed as one/);
  });
});
