import { expect } from 'chai';
import { bytesOf, LINE_KINDS, type LineBytes } from '../../protocol/set-account.js';
import type { SetStatus } from '../../src/appliance/status.js';
import { AppliancePair } from '../support/appliance-pair.js';
import { NbdClient } from '../support/nbd-client.js';
import { requires } from '../support/requirements.js';
import { sandboxPerTest } from '../support/sandbox.js';
import { Seeded } from '../support/seeded.js';

const BLOCK = 4096;
/** Acknowledgements and the like that cross after a set's end, and after its commit. */
const AFTERWARDS = 1000;

describe('what a set is worth and costs', function () {
  this.timeout(120_000);
  const sandbox = sandboxPerTest();

  it('is told by both sides, is what crossed the wire, and stays with the restore point', async function () {
    requires(this, { programs: ['socat'] });
    const random = new Seeded(12);
    const pair = await AppliancePair.start(sandbox(), { sizeBytes: 8 << 20, content: random.bytes(1 << 20) });
    const lastSet = async (): Promise<SetStatus> => {
      const { volumes } = await pair.primary.status();
      return volumes[0]!.lastSet!;
    };

    await pair.sync();
    const first = await lastSet();
    expect(first.blocks).to.equal((1 << 20) / BLOCK);
    expect(first.bytesWritten).to.equal(null, 'what was there before was not written here');
    const { toBackup, toPrimary } = first.line!;
    expect(toBackup.data).to.be.within(1 << 20, (1 << 20) + 2000);
    expect(toBackup.addresses).to.be.within(1, 500);
    expect(toBackup.handshake).to.be.greaterThan(50);
    expect(toPrimary.handshake).to.be.greaterThan(50);
    // Framing and seals of a megabyte, reports for it.
    expect(toBackup.control).to.be.within(100, 60_000);
    expect(toPrimary.data).to.equal(0);
    expectWithin(first.line!, pair.line.bytes, 5000);

    const client = await NbdClient.connect(pair.nbdSocket, pair.volume);
    for (const block of [3, 77, 78, 3, 3]) await client.write(block * BLOCK, random.bytes(BLOCK));
    await client.write(100 * BLOCK, random.bytes(10));
    client.close();
    const before = pair.line.bytes;
    const { state } = await pair.sync();
    const second = await lastSet();
    const crossed = {
      leftToRight: pair.line.bytes.leftToRight - before.leftToRight,
      rightToLeft: pair.line.bytes.rightToLeft - before.rightToLeft,
    };
    expect(second).to.deep.include({ peer: 'vault', blocks: 4, bytesWritten: 5 * BLOCK + 10 });
    expect(second.to.id).to.equal(state);
    expectWithin(second.line!, crossed, AFTERWARDS);
    expect(second.line!.toBackup).to.include({ repeated: 0, handshake: 0 });
    expect(second.line!.toBackup.data).to.be.within(3 * BLOCK, 4 * BLOCK + 500);

    const [newest, oldest] = await pair.points();
    expect(newest).to.include({ id: state, bytesWritten: 5 * BLOCK + 10 });
    const { byPrimary, byBackup } = newest!.line!;
    expectWithin(byBackup!, crossed, AFTERWARDS);
    expectWithin(byPrimary!, crossed, AFTERWARDS);
    expect(byBackup!.toBackup).to.include({
      data: second.line!.toBackup.data,
      addresses: second.line!.toBackup.addresses!,
      repeated: 0,
      handshake: 0,
    });
    expect(oldest).to.not.have.property('bytesWritten');
    expect(oldest!.line!.byBackup!.toBackup.data).to.equal(toBackup.data);
    expect(oldest!.line!.byBackup!.toBackup.handshake).to.be.greaterThan(50);
    expect(oldest!.line!.byBackup!.toBackup.addresses).to.equal(toBackup.addresses);
    const [copy] = (await pair.backup.status()).volumes;
    expect(copy!.lastSet).to.deep.include({ peer: 'branch', bytesWritten: 5 * BLOCK + 10, line: byBackup });
  });
});

/** The kinds of each direction are no more than what crossed, and no less but for what is not told any more. */
function expectWithin(
  line: LineBytes,
  crossed: { readonly leftToRight: number; readonly rightToLeft: number },
  slack: number,
): void {
  for (const [kinds, bytes] of [
    [line.toBackup, crossed.leftToRight],
    [line.toPrimary, crossed.rightToLeft],
  ] as const) {
    expect(Math.min(...LINE_KINDS.map((kind) => kinds[kind]))).to.be.at.least(0);
    expect(bytesOf(kinds)).to.be.within(bytes - slack, bytes, JSON.stringify(kinds));
  }
}
