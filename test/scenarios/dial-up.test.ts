import { expect } from 'chai';
import { readFile } from 'node:fs/promises';
import { AppliancePair } from '../support/appliance-pair.js';
import { DialUpLine } from '../support/modem-emulator-line.js';
import { requires } from '../support/requirements.js';
import { sandboxPerTest } from '../support/sandbox.js';
import { Seeded, seedOfThisRun } from '../support/seeded.js';
import { until } from '../support/until.js';

/** Of two good modems of today's kind; the emulated rings and training are short. */
const BITS_PER_SECOND = 115_200;
const OVERHEAD = 1.06;
const HANDSHAKE_BYTES = 3000;
const PAYLOAD = 60_000;
const SMALL_PAYLOAD = 30_000;

describe('a backup by dial-up', function () {
  this.timeout(120_000);
  const sandbox = sandboxPerTest();

  const start = async (seed: number, payload: number): Promise<{ pair: AppliancePair; line: DialUpLine }> => {
    const laid = await DialUpLine.lay(sandbox(), BITS_PER_SECOND);
    const content = new Seeded(seed).bytes(payload);
    const pair = await AppliancePair.create(sandbox(), { sizeBytes: 1 << 20, content, line: laid });
    return { pair, line: laid.line };
  };

  it('redials a busy number, replicates, redials after a drop, resumes, and hangs up', async function () {
    requires(this, { programs: ['socat'] });
    const seed = seedOfThisRun();
    console.log(`      SEED=${seed}`);
    const { pair, line } = await start(seed, PAYLOAD);
    line.right.faults.engaged = true;
    await Promise.all([pair.startPrimary(), pair.startBackup()]);
    const sync = pair.startSync();
    await until('the primary says that the number is busy', async () => {
      const { links } = await pair.primary.status();
      return links[0]?.type === 'modem' && /200 is busy/.test(links[0].lastError ?? '');
    });
    line.right.faults.engaged = false;
    await until('they are connected', () => line.count('are connected') === 1);
    await line.crossed(PAYLOAD * 0.4);
    await line.cut();

    const held = await until('the backup notices and tells what it has kept', async () => {
      const { links, volumes } = await pair.backup.status();
      return links[0]?.state !== 'connected' && (volumes[0]?.transfer?.bytesHeld ?? false);
    });
    const before = line.bytes.leftToRight;
    const result = await sync.result();
    const afterwards = line.bytes.leftToRight - before;
    console.log(`      ${held} kept at the drop, ${afterwards} bytes after it; ${JSON.stringify(result)}`);
    expect(held).to.be.greaterThan(PAYLOAD * 0.2);
    expect(afterwards).to.be.lessThan((PAYLOAD - held) * OVERHEAD + HANDSHAKE_BYTES);
    expect(line.count('are connected')).to.equal(2);
    expect((await readFile(await pair.restore('restored'))).equals(await readFile(pair.device))).to.equal(
      true,
    );

    expect(await pair.primary.stop()).to.equal(0);
    await until('the line is on hook', () => line.exchange.calls.length === 0);
    expect(line.exchange.log.at(-1)).to.match(/ hangs up$/);
    expect(await pair.backup.stop()).to.equal(0);
  });

  it('gets a modem back that a killed primary has left in its call', async function () {
    requires(this, { programs: ['socat'] });
    const { pair, line } = await start(7, SMALL_PAYLOAD);
    await Promise.all([pair.startPrimary(), pair.startBackup()]);
    const sync = pair.startSync();
    await line.crossed(SMALL_PAYLOAD * 0.3);
    await pair.primary.kill();
    await sync.program.finished;
    expect(line.exchange.calls, 'the modems are still in the call').to.have.length(1);
    await pair.startPrimary();
    await pair.sync();
    expect(line.count('100 hangs up')).to.equal(1);
    expect((await readFile(await pair.restore('restored'))).equals(await readFile(pair.device))).to.equal(
      true,
    );
  });
});
