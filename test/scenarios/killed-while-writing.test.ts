import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import type { AppliancePair } from '../support/appliance-pair.js';
import { BusyPair } from '../support/busy-pair.js';
import { requires } from '../support/requirements.js';
import { sandboxPerTest } from '../support/sandbox.js';
import { until } from '../support/until.js';

const KILLS = process.env['FARCOPY_SOAK'] === '1' ? 20 : 2;
/** Incompressible blocks: a change set of some 200 takes two seconds on the line. */
const ON_THE_LINE = { blockCount: 512, spread: 200, restMs: 2 };
/** Many blocks that cost little on the line: the apply takes its time. */
const IN_THE_STORE = { blockCount: 8192, spread: 4096, restMs: 1, compressible: true };

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
    const hit: string[] = [];
    for (let kill = 1; kill <= KILLS; kill++) {
      await writer.more(4000);
      const notBefore = journal.time;
      const sync = pair.startSync();
      const { to } = await pair.snapshotTaken();
      const notAfter = journal.time;
      // Just after the commit mark, and just after the phase mark: then the old blocks are being saved, or the image written.
      const wanted = kill % 2 === 0 ? /durable|overwriting/ : /overwriting/;
      await until('the backup applies the set', () => wanted.test(phaseOf(pair)), {
        everyMs: 1,
        timeoutMs: 60_000,
      });
      await pause(random.below(120));
      await pair.backup.kill();
      hit.push(phaseOf(pair));
      await pair.startBackup();
      const { state } = await sync.result();
      expect(state).to.equal(to.id);
      await busy.checkState(`kill ${kill}`, state, { notBefore, notAfter });
    }
    console.log(`      found on disk after the kill: ${hit.join(', ')}`);
    expect(hit.join(), 'no kill fell into an apply').to.match(/durable|overwriting/);
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

/** How far the backup's store has come with a set, as its mark on the disk says; `none` without a set. */
function phaseOf(pair: AppliancePair): string {
  try {
    const mark = readFileSync(
      `${pair.backupHome.folder}/store/${pair.copyName}/capture/capture.json`,
      'utf8',
    );
    return /"kind":\s*"(\w+)"/.exec(mark)?.[1] ?? 'unreadable';
  } catch {
    return 'none';
  }
}
