import { expect } from 'chai';
import { setTimeout as pause } from 'node:timers/promises';
import { BusyPair } from '../support/busy-pair.js';
import { requires } from '../support/requirements.js';
import { sandboxPerTest } from '../support/sandbox.js';
import { until } from '../support/until.js';

const KILLS = process.env['FARCOPY_SOAK'] === '1' ? 20 : 3;
/** Incompressible blocks: a change set of some 200 takes two seconds on the line. */
const ON_THE_LINE = { blockCount: 512, spread: 200, restMs: 2 };
/** Many blocks that cost little on the line: the apply takes its time. */
const IN_THE_STORE = { blockCount: 8192, spread: 4096, restMs: 0, compressible: true };

describe('kill -9 at random instants while a writer runs', function () {
  this.timeout(90_000 + KILLS * 130_000);
  const sandbox = sandboxPerTest();

  it('of the primary in mid-transfer: nothing acknowledged is lost, the same transfer goes on', async function () {
    requires(this, { programs: ['socat'] });
    const busy = await BusyPair.start(sandbox(), ON_THE_LINE);
    const { pair, journal, random, writer } = busy;
    for (let kill = 1; kill <= KILLS; kill++) {
      await writer.more(250);
      const notBefore = journal.time;
      const sync = pair.startSync();
      const { to } = await pair.snapshotTaken();
      const notAfter = journal.time;
      await pair.line.crossed(random.below(400_000));
      await pair.primary.kill();
      const { code, stderr } = await sync.program.finished;
      expect(code, stderr).to.equal(1);
      await pair.startPrimary();
      await busy.checkVolume(`kill ${kill}`);
      await pair.applied(to.id);
      await busy.checkState(`kill ${kill}`, to.id, { notBefore, notAfter });
    }
    await busy.finish();
  });

  it('of the backup in mid-transfer: the same sync completes', async function () {
    requires(this, { programs: ['socat'] });
    const busy = await BusyPair.start(sandbox(), ON_THE_LINE);
    const { pair, journal, random, writer } = busy;
    for (let kill = 1; kill <= KILLS; kill++) {
      await writer.more(250);
      const notBefore = journal.time;
      const sync = pair.startSync();
      const { to } = await pair.snapshotTaken();
      const notAfter = journal.time;
      await pair.line.crossed(random.below(400_000));
      await pair.backup.kill();
      await pair.startBackup();
      const { state } = await sync.result();
      expect(state).to.equal(to.id);
      await busy.checkState(`kill ${kill}`, state, { notBefore, notAfter });
    }
    await busy.finish();
  });

  it('of the backup in mid-apply: its image is one state all the same', async function () {
    requires(this, { programs: ['socat'] });
    const busy = await BusyPair.start(sandbox(), IN_THE_STORE);
    const { pair, journal, random, writer } = busy;
    const phases = new Map<string, number>();
    for (let kill = 1; kill <= KILLS; kill++) {
      await writer.more(4000);
      const notBefore = journal.time;
      const sync = pair.startSync();
      const { to } = await pair.snapshotTaken();
      const notAfter = journal.time;
      await until(
        'the set is whole at the backup',
        async () => {
          const transfer = await pair.transfer();
          return transfer === null || transfer.phase === 'committing' || transfer.phase === 'applying';
        },
        { everyMs: 1, timeoutMs: 60_000 },
      );
      await pause(random.below(150));
      const phase = (await pair.transfer())?.phase ?? 'done';
      await pair.backup.kill();
      phases.set(phase, (phases.get(phase) ?? 0) + 1);
      await pair.startBackup();
      const { state } = await sync.result();
      expect(state).to.equal(to.id);
      await busy.checkState(`kill ${kill}`, state, { notBefore, notAfter });
    }
    console.log(`      killed while the primary saw: ${JSON.stringify(Object.fromEntries(phases))}`);
    await busy.finish();
  });

  it('of either side at any instant, several times in one transfer', async function () {
    requires(this, { programs: ['socat'] });
    const busy = await BusyPair.start(sandbox(), ON_THE_LINE);
    const { pair, journal, random, writer } = busy;
    await writer.more(250);
    const notBefore = journal.time;
    const sync = pair.startSync();
    for (let kill = 1; kill <= KILLS; kill++) {
      await pause(random.below(1500));
      if (random.below(2) === 0) {
        await pair.primary.kill();
        await pair.startPrimary();
        await busy.checkVolume(`kill ${kill}`);
      } else {
        await pair.backup.kill();
        await pair.startBackup();
      }
    }
    const { code, stdout } = await sync.program.finished;
    if (code === 0) {
      const { state } = JSON.parse(stdout) as { state: string };
      await busy.checkState('the sync', state, { notBefore });
    }
    for (const { id } of await pair.points()) await busy.checkState(id.slice(0, 8), id);
    await busy.finish();
  });
});
