import { expect } from 'chai';
import { readFile, truncate, writeFile } from 'node:fs/promises';
import { AppliancePair } from '../support/appliance-pair.js';
import { type Appliance, farcopyJson } from '../support/farcopy.js';
import type { PointSummary, SyncResult } from '../../src/control/appliance-control.js';
import { NbdClient } from '../support/nbd-client.js';
import { sandboxPerTest } from '../support/sandbox.js';
import { until } from '../support/until.js';

const SIZE = 1 << 20;
const BLOCK = 4096;

describe('a configuration that is changed while farcopy runs', function () {
  this.timeout(180_000);
  const sandbox = sandboxPerTest();

  /** How often farcopy has said that it reads it again, whatever came of it. */
  const answers = async (appliance: Appliance): Promise<readonly string[]> =>
    (await appliance.status()).events
      .map(({ text }) => text)
      .filter((text) => /^the configuration (was read again|stays as it was)/.test(text));

  /** Changes the file, tells the appliance, and waits for its word on that. */
  async function change(appliance: Appliance, edit: (text: string) => string): Promise<string> {
    const file = appliance.home.config;
    await writeFile(file, edit(await readFile(file, 'utf8')));
    const before = (await answers(appliance)).length;
    appliance.hangUp();
    const all = await until(
      'it has followed',
      async () => {
        const now = await answers(appliance);
        return now.length > before && now;
      },
      { timeoutMs: 60_000 },
    );
    return all.at(-1) ?? '';
  }

  it('a volume comes and goes, schedules and links change, and a writer notices nothing', async () => {
    const pair = await AppliancePair.start(sandbox(), { sizeBytes: SIZE, line: 'tcp' });
    const journal = `${pair.primaryHome.folder}/journal.img`;
    await writeFile(journal, '');
    await truncate(journal, SIZE);
    const client = await NbdClient.connect(pair.nbdSocket, pair.volume);
    const stop = new AbortController();
    let writes = 0;
    // A request that fails, or a connection that is lost, ends it.
    const writing = (async () => {
      for (; !stop.signal.aborted; writes++)
        await client.write((writes % 200) * BLOCK, Buffer.alloc(BLOCK, writes));
      await client.flush();
    })();
    writing.catch(() => undefined);

    const added =
      '  - { name: journal, device: ./journal.img, nbd: "unix:./state/journal.sock", schedule: "0 5 * * *" }\n';
    expect(await change(pair.primary, (text) => text.replace('backups:', `${added}backups:`))).to.match(
      /counts from now/,
    );
    const socket = `${pair.primaryHome.folder}/state/journal.sock`;
    const second = await NbdClient.connect(socket, 'journal');
    await second.write(0, Buffer.alloc(BLOCK, 7));
    await second.flush();
    const ask = ['--config', pair.primaryHome.config];
    await until(
      'they are connected again',
      async () => {
        const [peer] = (await pair.primary.status()).peers ?? [];
        return peer !== undefined && peer.link !== null;
      },
      { timeoutMs: 90_000 },
    );
    for (const name of ['journal', pair.volume])
      await farcopyJson<SyncResult>(['sync', name, ...ask], { timeoutMs: 90_000 });
    const schedule = (await pair.primary.status()).volumes.find(({ name }) => name === 'journal')?.schedule;
    expect(schedule?.cron).to.equal('0 5 * * *');

    expect(await change(pair.primary, (text) => text.replace('0 5 * * *', '30 6 * * *'))).to.match(
      /counts from now/,
    );
    const [first, then] = (await pair.primary.status()).volumes;
    expect(first?.schedule ?? null).to.equal(null);
    expect(then?.schedule?.cron).to.equal('30 6 * * *');

    // What is wrong, or cannot be, changes nothing.
    const good = await readFile(pair.primaryHome.config, 'utf8');
    expect(await change(pair.primary, (text) => text.replace('blockSize: 4096', 'blockSize: 4095'))).to.match(
      /stays as it was: .*farcopy\.yaml:\d+: volumes\[0\]\.blockSize: found 4095/,
    );
    expect(await change(pair.primary, () => good.replace('blockSize: 4096', 'blockSize: 8192'))).to.match(
      /stays as it was: a change of this needs a restart: blockSize of volume ledger/,
    );
    expect(await change(pair.primary, () => good.replace(added.replace('0 5', '30 6'), ''))).to.match(
      /stays as it was: volume journal has an NBD client/,
    );
    expect((await pair.primary.status()).volumes.map(({ name }) => name)).to.deep.equal([
      'ledger',
      'journal',
    ]);
    second.close();
    await until(
      'it is idle',
      async () => (await change(pair.primary, (text) => text)).includes('counts from now'),
      {
        timeoutMs: 60_000,
      },
    );
    expect((await pair.primary.status()).volumes.map(({ name }) => name)).to.deep.equal(['ledger']);

    const before = writes;
    await until('the writer goes on', () => writes > before);
    stop.abort();
    await writing;
    client.close();
    expect(await pair.primary.stop()).to.equal(0);
  });

  it('a backup follows: what it keeps, and who may call', async () => {
    const pair = await AppliancePair.start(sandbox(), { sizeBytes: SIZE, line: 'tcp' });
    for (let i = 0; i < 3; i++) await pair.sync();
    expect(await pair.points()).to.have.length(3);
    const good = await readFile(pair.backupHome.config, 'utf8');
    expect(await change(pair.backup, (text) => `${text.trimEnd()}\n    keep: { last: 1 }\n`)).to.match(
      /counts from now/,
    );
    await until('the older points are gone', async () => (await pair.points()).length === 1);

    expect(await change(pair.backup, (text) => text.replace('store: ./store', 'store: ./else'))).to.match(
      /needs a restart: store/,
    );
    // Nobody may call any more; then the same one may again.
    const nobody = good.slice(0, good.indexOf('primaries:'));
    expect(await change(pair.backup, () => `${nobody}primaries: []\n`)).to.match(/counts from now/);
    await until('the call has ended', async () => (await pair.primary.status()).peers?.[0]?.link === null, {
      timeoutMs: 60_000,
    });
    expect(await change(pair.backup, () => good)).to.match(/counts from now/);
    await until('it is back', async () => (await pair.primary.status()).peers?.[0]?.link !== null, {
      timeoutMs: 120_000,
    });
    const { state } = await pair.sync();
    const points = await farcopyJson<PointSummary[]>([
      'points',
      pair.copyName,
      '--config',
      pair.backupHome.config,
    ]);
    expect(points[0]?.id).to.equal(state);
  });
});
