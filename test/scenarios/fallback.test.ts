import { expect } from 'chai';
import { MAX_SEGMENT } from '../../protocol/framing/limits.js';
import { readFile } from 'node:fs/promises';
import { AppliancePair } from '../support/appliance-pair.js';
import { PtyPair } from '../support/pty-pair.js';
import { requires } from '../support/requirements.js';
import { sandboxPerTest } from '../support/sandbox.js';
import { Seeded, seedOfThisRun } from '../support/seeded.js';
import { TcpRelay } from '../support/tcp-relay.js';
import { until } from '../support/until.js';

const PAYLOAD = 1_500_000;
const BAUD = 2_000_000;
const TCP_BYTES_PER_SECOND = 60_000;
/** Framing, seals and reports, and the handshakes of a few calls. */
const OVERHEAD = 1.03;
const HANDSHAKE_BYTES = 6000;
/** What the line had brought and the backup was about to keep when TCP took over; and a frame that is cut short. */
const AT_THE_EDGES = 4 * MAX_SEGMENT;

describe('a serial line that dies, with TCP as the fallback', function () {
  this.timeout(120_000);
  const sandbox = sandboxPerTest();

  it('the set goes on over TCP and moves back when the line returns, and nothing reported goes twice', async function () {
    requires(this, { programs: ['socat'] });
    const seed = seedOfThisRun();
    console.log(`      SEED=${seed}`);
    const line = await PtyPair.open(sandbox());
    const relay = await TcpRelay.open(sandbox(), TCP_BYTES_PER_SECOND);
    const serial = (device: string): string => `{ type: serial, device: ${device}, baudRate: ${BAUD} }`;
    const tcp = (port: number): string => `{ type: tcp, host: 127.0.0.1, port: ${port} }`;
    const pair = await AppliancePair.start(sandbox(), {
      sizeBytes: 4 << 20,
      content: new Seeded(seed).bytes(PAYLOAD),
      line: {
        line,
        left: `${serial(line.left)}\n      - ${tcp(relay.port)}`,
        right: `${serial(line.right)}\n  - ${tcp(relay.target)}`,
      },
    });
    const held = async (): Promise<number> =>
      (await pair.backup.status()).volumes[0]?.transfer?.bytesHeld ?? 0;
    const stateOf = async (link: 0 | 1): Promise<string> =>
      (await pair.primary.status()).links[link]?.state ?? '';

    const sync = pair.startSync();
    await line.crossed(PAYLOAD * 0.3);
    await line.cut();
    await until('TCP carries the session', async () => (await stateOf(1)) === 'connected');
    const heldAtCut = await held();
    expect(heldAtCut).to.be.greaterThan(PAYLOAD * 0.1);

    await relay.crossed(200_000);
    relay.hold();
    const sentOverTcp = relay.bytes.leftToRight;
    const atLeast = heldAtCut + (sentOverTcp - HANDSHAKE_BYTES - AT_THE_EDGES) / OVERHEAD;
    let heldOverTcp = 0;
    await until(
      'the backup has kept what TCP has brought',
      async () => (heldOverTcp = await held()) >= atLeast,
      {
        seen: () => `It holds ${heldOverTcp}, ${heldAtCut} at the cut; ${sentOverTcp} bytes crossed.`,
      },
    );
    relay.release();
    const sentOverLine = line.bytes.leftToRight;
    await line.restore();
    await until('the line carries the session again', async () => (await stateOf(0)) === 'connected');
    await until('TCP is given up', async () => (await stateOf(1)) !== 'connected');
    const result = await sync.result();
    const sentAfterwards = line.bytes.leftToRight - sentOverLine;
    console.log(
      `      held: ${heldAtCut} at the cut, ${heldOverTcp} after ${sentOverTcp} over TCP; ` +
        `${sentAfterwards} over the line again; ${JSON.stringify(result)}`,
    );
    expect(sentAfterwards).to.be.lessThan((PAYLOAD - heldOverTcp) * OVERHEAD + HANDSHAKE_BYTES);
    expect((await readFile(await pair.restore('restored'))).equals(await readFile(pair.device))).to.equal(
      true,
    );
    expect(await pair.primary.stop()).to.equal(0);
    expect(await pair.backup.stop()).to.equal(0);
  });
});
