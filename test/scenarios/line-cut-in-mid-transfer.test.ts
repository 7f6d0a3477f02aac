import { expect } from 'chai';
import { MAX_SEGMENT } from '../../protocol/framing/limits.js';
import { readFile } from 'node:fs/promises';
import type { TransferStatus } from '../../src/appliance/status.js';
import { AppliancePair } from '../support/appliance-pair.js';
import { requires } from '../support/requirements.js';
import { sandboxPerTest } from '../support/sandbox.js';
import { Seeded, seedOfThisRun } from '../support/seeded.js';
import { until } from '../support/until.js';

/** Framing, seals, reports and the handshake may cost this much on top of the payload that is still missing. */
const OVERHEAD = 1.03;
const HANDSHAKE_BYTES = 6000;

describe('the line is cut in mid-transfer', function () {
  this.timeout(180_000);
  const sandbox = sandboxPerTest();

  it('goes on by itself and sends nothing again that the backup had kept', async function () {
    requires(this, { programs: ['socat'] });
    const seed = seedOfThisRun();
    console.log(`      SEED=${seed}`);
    const random = new Seeded(seed);
    const payload = 1_500_000;
    const content = random.bytes(payload);
    const pair = await AppliancePair.start(sandbox(), { sizeBytes: 16 << 20, content, baudRate: 2_000_000 });
    const sync = pair.startSync();
    const { to } = await pair.snapshotTaken();
    let lost = 0;

    for (let cut = 1; cut <= 3; cut++) {
      await pair.line.crossed(100_000 + random.below(250_000));
      await pair.line.cut();
      await until('both sides notice', async () => {
        const sides = await Promise.all([pair.primary.status(), pair.backup.status()]);
        return sides.every(({ links }) => links.every(({ state }) => state !== 'connected'));
      });
      const kept = await heldByBackup(pair);
      const sent = pair.line.bytes.leftToRight;
      console.log(`      cut ${cut}: ${sent} bytes were sent, ${kept.bytesHeld} are kept`);
      expect(kept.bytesHeld).to.be.greaterThan(0);
      lost = sent - kept.bytesHeld;
      // What was on the line at the cut is lost; all before it was kept.
      expect(lost).to.be.lessThan(payload * (OVERHEAD - 1) + cut * 100_000);
      await pair.line.restore();
      if (cut < 3) continue;

      const result = await sync.result();
      const afterwards = pair.line.bytes.leftToRight - sent;
      console.log(`      after it: ${afterwards} bytes; in all ${JSON.stringify(result)}`);
      expect(result.state).to.equal(to.id);
      // Again goes only what the cuts took: what the relay saw and is not kept, and a frame each that the port had taken.
      expect(result.bytesRepeated)
        .to.be.greaterThan(0)
        .and.lessThan(lost + cut * MAX_SEGMENT);
      expect(afterwards).to.be.lessThan((payload - kept.bytesHeld) * OVERHEAD + HANDSHAKE_BYTES);
    }

    const restored = await readFile(await pair.restore('restored'));
    expect(restored.subarray(0, payload).equals(content)).to.equal(true);
    expect(restored.equals(await readFile(pair.device))).to.equal(true);
  });

  it('ends the sync when the time given is over, and finishes the transfer later', async function () {
    requires(this, { programs: ['socat'] });
    const random = new Seeded(3);
    const pair = await AppliancePair.start(sandbox(), { sizeBytes: 4 << 20, content: random.bytes(400_000) });
    const sync = pair.startSync(['--timeout', '3s']);
    const { to } = await pair.snapshotTaken();
    await pair.line.cut();
    const { code, stderr } = await sync.program.finished;
    expect(code).to.equal(1);
    expect(stderr).to.match(/^farcopy: .+/);
    await pair.line.restore();
    await pair.applied(to.id);
    expect((await readFile(await pair.restore('restored'))).equals(await readFile(pair.device))).to.equal(
      true,
    );
  });
});

async function heldByBackup(pair: AppliancePair): Promise<TransferStatus> {
  const status = await pair.backup.status();
  const transfer = status.volumes.find(({ name }) => name === pair.copyName)?.transfer;
  if (transfer == null) throw new Error(`the backup reports no transfer: ${JSON.stringify(status.volumes)}`);
  return transfer;
}
