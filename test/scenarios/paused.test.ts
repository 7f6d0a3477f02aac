import { expect } from 'chai';
import { AppliancePair } from '../support/appliance-pair.js';
import { farcopyJson } from '../support/farcopy.js';
import { requires } from '../support/requirements.js';
import { sandboxPerTest } from '../support/sandbox.js';
import { Seeded } from '../support/seeded.js';
import { until } from '../support/until.js';

const BLOCK = 4096;

describe('transfers that the operator has paused', function () {
  this.timeout(120_000);
  const sandbox = sandboxPerTest();

  it('stay paused after a kill of the primary, and go on when they are told to', async function () {
    requires(this, { programs: ['socat'] });
    const random = new Seeded(14);
    const pair = await AppliancePair.start(sandbox(), {
      sizeBytes: 1 << 20,
      content: random.bytes(4 * BLOCK),
    });
    const farcopy = (command: string): Promise<{ readonly paused: readonly string[] }> =>
      farcopyJson([command, pair.volume, '--config', pair.primaryHome.config]);
    const isPaused = async (): Promise<boolean | undefined> =>
      (await pair.primary.status()).volumes[0]?.paused;
    const { state: first } = await pair.sync();
    expect(await farcopy('pause')).to.deep.equal({ paused: [pair.volume] });

    const snapshot = await farcopyJson<{ readonly state: string }>([
      ...['snapshot', pair.volume, '--config', pair.primaryHome.config],
    ]);
    expect(snapshot.state).to.not.equal(first);
    await pair.primary.kill();
    await pair.startPrimary();
    expect(await isPaused()).to.equal(true);
    // The link is up once more, and had its chance to carry something.
    await until('the line is in use', async () =>
      (await pair.primary.status()).links.some(({ state }) => state === 'connected'),
    );
    expect((await pair.points()).map(({ id }) => id)).to.deep.equal([first]);

    expect(await farcopy('resume')).to.deep.equal({ paused: [] });
    await pair.applied(snapshot.state);
    expect(await isPaused()).to.equal(false);
  });
});
