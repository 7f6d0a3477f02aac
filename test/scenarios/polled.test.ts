import { expect } from 'chai';
import { readFile } from 'node:fs/promises';
import { systemClock } from '../../src/platform/clock.js';
import type { Appliance } from '../support/farcopy.js';
import { Fleet, type FleetPrimary } from '../support/fleet.js';
import { ModemExchange, SHORT_TIMES } from '../support/modem-emulator-exchange.js';
import { plugIn } from '../support/modem-emulator-ptys.js';
import { requires } from '../support/requirements.js';
import { sandboxPerTest } from '../support/sandbox.js';
import { Seeded } from '../support/seeded.js';
import { until } from '../support/until.js';

const EVERY_THREE_SECONDS = '"*/3 * * * * *"';

describe('a backup that polls', function () {
  this.timeout(120_000);
  const sandbox = sandboxPerTest();

  const copied = async (backup: Appliance, ...volumes: readonly string[]): Promise<void> => {
    await until(
      `${volumes.join(' and ')} are copied`,
      async () => {
        const states = (await backup.status()).volumes.filter(({ lastState }) => lastState !== null);
        return volumes.every((volume) => states.some(({ name }) => name === volume));
      },
      { timeoutMs: 60_000 },
    );
  };

  it('fetches two primaries in turn over the one modem on which it also answers', async function () {
    requires(this, { programs: ['socat'] });
    const exchange = new ModemExchange(systemClock, SHORT_TIMES);
    const device = async (number: string): Promise<string> =>
      plugIn(sandbox(), exchange.install(number, { bitsPerSecond: 115_200 }), `modem-${number}`);
    const [vault, north, south] = [await device('100'), await device('201'), await device('202')];
    const modem = (path: string, more = ''): string =>
      `{ type: modem, device: ${path}, baudRate: 115200, flow: none${more} }`;
    const random = new Seeded(5);
    const primary = (name: string, path: string, number: string): FleetPrimary => ({
      name,
      volumes: { ledger: random.bytes(40_960) },
      links: name === 'south' ? [modem(path, ', dial: "100"')] : [],
      listen: [modem(path)],
      poll: `{ schedule: ${EVERY_THREE_SECONDS}, links: [ ${modem(vault, `, dial: "${number}"`)} ] }`,
    });
    const fleet = await Fleet.create(
      sandbox(),
      [modem(vault)],
      [primary('north', north, '201'), primary('south', south, '202')],
    );
    const primaries = await Promise.all(['north', 'south'].map((name) => fleet.start(name)));
    const backup = await fleet.startBackup();
    await copied(backup, 'north/ledger', 'south/ledger');
    for (const name of ['north', 'south']) {
      const restored = await readFile(await fleet.restore(name, 'ledger'));
      expect(restored.equals(await readFile(fleet.device(name, 'ledger'))), name).to.equal(true);
    }
    await until('a poll that finds nothing new is over', async () => {
      const { peers } = await backup.status();
      return peers?.every(({ poll }) => poll?.lastOutcome === 'fetched' || poll?.lastOutcome === 'going on');
    });
    for (const number of ['201', '202']) {
      const isUp = (line: string): boolean => line.includes(number) && line.includes('are connected');
      expect(exchange.log.some(isUp), `a call to ${number}`).to.equal(true);
    }
    for (const appliance of [...primaries, backup]) expect(await appliance.stop()).to.equal(0);
  });
});
