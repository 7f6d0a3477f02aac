import { expect } from 'chai';
import { connect, type Socket } from 'node:net';
import { readFile } from 'node:fs/promises';
import type { PointSummary, SyncResult } from '../../src/control/appliance-control.js';
import { farcopyJson } from '../support/farcopy.js';
import { Fleet } from '../support/fleet.js';
import { sandboxPerTest } from '../support/sandbox.js';
import { Seeded } from '../support/seeded.js';
import { freePort } from '../support/tcp-relay.js';
import { until } from '../support/until.js';

const NAMES = ['north', 'south', 'west'] as const;
const VOLUMES = ['ledger', 'mail'] as const;

describe('three primaries on one backup', function () {
  this.timeout(120_000);
  const sandbox = sandboxPerTest();

  it('each volume is copied to its own place at the same time, with strangers at the door', async () => {
    const random = new Seeded(33);
    const port = await freePort();
    const address = `{ type: tcp, host: 127.0.0.1, port: ${port} }`;
    const fleet = await Fleet.create(
      sandbox(),
      [address],
      NAMES.map((name) => ({
        name,
        volumes: Object.fromEntries(VOLUMES.map((volume) => [volume, random.bytes(1_000_000 & ~4095)])),
        links: [address],
        listen: [],
      })),
    );
    const backup = await fleet.startBackup();
    const strangers = await Promise.all(Array.from({ length: 100 }, () => stranger(port)));
    await Promise.all(NAMES.map((name) => fleet.start(name)));
    const results = await Promise.all(
      NAMES.flatMap((name) =>
        VOLUMES.map((volume) =>
          farcopyJson<SyncResult>(['sync', volume, '--config', fleet.homeOf(name).config]),
        ),
      ),
    );
    expect(new Set(results.map(({ state }) => state))).to.have.lengthOf(6);
    const points = await farcopyJson<readonly PointSummary[]>([
      'points',
      '--config',
      fleet.backupHome.config,
    ]);
    expect(points.map(({ primary, volume }) => `${primary}/${volume}`)).to.have.members(
      NAMES.flatMap((name) => VOLUMES.map((volume) => `${name}/${volume}`)),
    );
    for (const name of NAMES) {
      for (const volume of VOLUMES) {
        const restored = await readFile(await fleet.restore(name, volume));
        const device = await readFile(fleet.device(name, volume));
        expect(restored.equals(device), `${name}/${volume}`).to.equal(true);
      }
    }
    const { links, peers } = await backup.status();
    expect(links[0]?.peer?.split(', ')).to.have.members([...NAMES]);
    expect(peers?.every(({ link, lastHeard }) => link !== null && lastHeard !== null)).to.equal(true);
    await until('most strangers are turned away', () => strangers.filter(({ open }) => open).length <= 8);
    expect(
      strangers.reduce((sum, { received }) => sum + received, 0),
      'bytes that strangers got',
    ).to.equal(0);
    for (const { socket } of strangers) socket.destroy();
  });
});

/** Connects and says something that is no call. */
async function stranger(port: number): Promise<{ readonly socket: Socket; open: boolean; received: number }> {
  const socket = connect(port, '127.0.0.1');
  const seen = { socket, open: true, received: 0 };
  socket.on('error', () => (seen.open = false));
  socket.on('close', () => (seen.open = false));
  socket.on('data', (bytes: Buffer) => (seen.received += bytes.length));
  await new Promise<void>((resolve) => {
    socket.once('connect', () => resolve());
    socket.once('close', () => resolve());
  });
  if (seen.open) socket.write(Buffer.from('GET / HTTP/1.1\r\n\r\n\0'));
  return seen;
}
