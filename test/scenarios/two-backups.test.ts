import { expect } from 'chai';
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import type { PointSummary, SyncResult } from '../../src/control/appliance-control.js';
import { AppliancePair } from '../support/appliance-pair.js';
import { Appliance, farcopyJson, type ApplianceHome } from '../support/farcopy.js';
import { NbdClient } from '../support/nbd-client.js';
import { sandboxPerTest } from '../support/sandbox.js';
import { Seeded, seedOfThisRun } from '../support/seeded.js';
import { TcpRelay } from '../support/tcp-relay.js';

const MIB = 1 << 20;
const WRITTEN = 64 << 10;
const ROUNDS = 3;

describe('a volume with two backups', function () {
  this.timeout(180_000);
  const sandbox = sandboxPerTest();

  it('the one that was absent for long gets what changed, without a compare, and the other never waits', async () => {
    const seed = seedOfThisRun();
    console.log(`      SEED=${seed}`);
    const random = new Seeded(seed);
    const pair = await AppliancePair.create(sandbox(), {
      sizeBytes: 4 * MIB,
      content: random.bytes(3 * MIB),
      line: 'tcp',
    });
    const relay = await TcpRelay.open(sandbox());
    const far = await addBackup(pair, 'far', relay);
    const sync = (to: string): Promise<SyncResult> =>
      farcopyJson(['sync', pair.volume, '--to', to, '--config', pair.primaryHome.config]);
    const pointsAt = (home: ApplianceHome): Promise<readonly PointSummary[]> =>
      farcopyJson(['points', pair.copyName, '--config', home.config]);
    await Promise.all([pair.startPrimary(), pair.startBackup()]);
    const before = await Appliance.start(sandbox(), far);
    await Promise.all([sync('vault'), sync('far')]);
    const firstPoints = await pointsAt(far);
    expect(await before.stop()).to.equal(0);

    const vaultPoints = (await pair.points()).length;
    for (let round = 0; round < ROUNDS; round++) {
      const user = await NbdClient.connect(pair.nbdSocket, pair.volume);
      // Half of it is written again in the next round.
      await user.write((round * WRITTEN) / 2, random.bytes(WRITTEN));
      await user.flush();
      user.close();
      await sync('vault');
      if (round !== 1) continue;
      expect(await pair.primary.stop()).to.equal(0);
      await pair.startPrimary();
    }
    expect((await pair.points()).length).to.equal(vaultPoints + ROUNDS);

    const crossed = relay.bytes.leftToRight;
    await Appliance.start(sandbox(), far);
    const { state } = await sync('far');
    const cost = relay.bytes.leftToRight - crossed;
    const changed = ((ROUNDS + 1) * WRITTEN) / 2;
    console.log(`      ${cost} bytes for ${changed} that changed`);
    expect(cost).to.be.within(changed, 1.5 * changed);
    expect(pair.primary.log.filter((line) => line.includes('compare'))).to.be.empty;
    const points = (await pointsAt(far)).map(({ id }) => id);
    expect(points)
      .to.include(state)
      .and.to.include.members(firstPoints.map(({ id }) => id));
    const to = sandbox().path('restored');
    await farcopyJson(['restore', pair.copyName, '--to', to, '--config', far.config]);
    expect((await readFile(to)).equals(await readFile(pair.device))).to.equal(true);
  });
});

/** A second backup, which the primary calls through `relay`; not started. */
async function addBackup(pair: AppliancePair, name: string, relay: TcpRelay): Promise<ApplianceHome> {
  const folder = pair.sandbox.path(name);
  const home = {
    role: 'backup',
    folder,
    config: `${folder}/farcopy.yaml`,
    control: `${folder}/state/control.sock`,
  } as const;
  const args = ['init', 'backup', '--dir', folder, '--name', name];
  const { publicKey } = await farcopyJson<{ publicKey: string }>(args);
  const port = (number: number): string => `{ type: tcp, host: 127.0.0.1, port: ${number} }`;
  const [, primaries = ''] = (await readFile(pair.backupHome.config, 'utf8')).split(/^(?=primaries:)/m);
  await writeFile(
    home.config,
    `role: backup\nname: ${name}\nstate: ./state\ncontrol: ./state/control.sock\nstore: ./store\n` +
      `listen:\n  - ${port(relay.target)}\n${primaries}`,
  );
  await appendFile(
    pair.primaryHome.config,
    `  - name: ${name}\n    publicKey: ${publicKey}\n    links:\n      - ${port(relay.port)}\n`,
  );
  return home;
}
