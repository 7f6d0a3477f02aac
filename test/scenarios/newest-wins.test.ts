import { expect } from 'chai';
import { readFile } from 'node:fs/promises';
import { AppliancePair } from '../support/appliance-pair.js';
import { NbdClient } from '../support/nbd-client.js';
import { requires } from '../support/requirements.js';
import { sandboxPerTest } from '../support/sandbox.js';
import { Seeded, seedOfThisRun } from '../support/seeded.js';
import { until } from '../support/until.js';

const MIB = 1 << 20;
const SET_BYTES = 1.5 * MIB;

describe('a newer snapshot while a set is on its way', function () {
  this.timeout(180_000);
  const sandbox = sandboxPerTest();

  it('takes its place, and arrives with fewer bytes than both would have cost', async function () {
    requires(this, { programs: ['socat'] });
    const seed = seedOfThisRun();
    console.log(`      SEED=${seed}`);
    const random = new Seeded(seed);
    const pair = await AppliancePair.start(sandbox(), { sizeBytes: 8 * MIB, baudRate: 2_000_000 });
    await pair.sync();
    const user = await NbdClient.connect(pair.nbdSocket, pair.volume);
    const old = await user.read(MIB / 2, 4096);

    await user.write(0, random.bytes(SET_BYTES));
    const first = pair.startSync();
    const given = await pair.snapshotTaken();
    await pair.line.crossed(SET_BYTES / 2);
    await pair.line.cut();
    // The same again, but for a block that goes back to what the copy has.
    await user.write(0, random.bytes(SET_BYTES));
    await user.write(MIB / 2, old);
    await user.flush();
    const second = pair.startSync();
    await until('the newer snapshot waits', async () => (await pair.transfer())?.next != null);
    const before = pair.line.bytes.leftToRight;
    await pair.line.restore();

    const results = [await first.result(), await second.result()];
    const afterwards = pair.line.bytes.leftToRight - before;
    console.log(
      `      half of ${SET_BYTES} bytes had crossed; after it ${afterwards} bytes: ${JSON.stringify(results[1])}`,
    );
    const [state] = new Set(results.map((result) => result.state));
    expect(results.map((result) => result.state)).to.deep.equal([state, state]);
    expect(state).to.not.equal(given.to.id);
    expect((await pair.points()).map(({ id }) => id))
      .to.include(state)
      .and.not.include(given.to.id);
    // Both one after the other: the half that was missing, and all of the newer one.
    expect(afterwards).to.be.lessThan(1.2 * SET_BYTES);
    user.close();
    expect((await readFile(await pair.restore('restored'))).equals(await readFile(pair.device))).to.equal(
      true,
    );
  });
});
