import { expect } from 'chai';
import { generateKeyPair } from '../../../protocol/handshake/keys.js';
import { CallRecord } from '../../../src/appliance/call-budget.js';
import type { BackupPeer } from '../../../src/appliance/backup-peer.js';
import { EventLog } from '../../../src/appliance/event-log.js';
import type { Lines } from '../../../src/appliance/lines.js';
import { PauseNote } from '../../../src/appliance/pause-note.js';
import { PortRegistry } from '../../../src/appliance/port-registry.js';
import { PrimaryPeers } from '../../../src/appliance/primary-peers.js';
import { primarySite } from '../../../src/appliance/primary-site.js';
import type { ProtectedVolume } from '../../../src/appliance/protected-volumes.js';
import type { CallLink, ListenPort, PrimaryConfiguration } from '../../../src/config/configuration.js';
import { silentLog } from '../../../src/platform/log.js';
import type { Encoder, ParcelEncoder } from '../../../src/replication/encoder.js';
import { encode, type EncodingQuality } from '../../../src/replication/parcel-encoding.js';
import { nextOf } from '../../../src/replication/travel-pins.js';
import { CrashFiles } from '../../support/crash-files.js';
import { SeedNotes } from '../../../src/seed/seed-notes.js';
import { Seeded } from '../../support/seeded.js';
import { VirtualClock } from '../../support/virtual-clock.js';
import { BLOCK, ModelVolume } from '../replication/model-volume.js';

const BACKUP = 'vault';
const modem = { type: 'modem', device: '/dev/ttyS1', baudRate: 115_200, window: null, callsPerDay: 9 };
const tcp = { type: 'tcp', host: '127.0.0.1', port: 7400 };
const fastSerial = { type: 'serial', device: '/dev/ttyS0', baudRate: 1_000_000 };

/** How hard the first parcel is pressed that a primary with these lines encodes while nobody is connected. */
async function pressed(links: readonly object[], listen: readonly object[] = []): Promise<EncodingQuality> {
  const seeded = new Seeded(3);
  const clock = new VirtualClock();
  const files = new CrashFiles();
  const volume = new ModelVolume(seeded, 'ledger', 4);
  volume.write(1, seeded.bytes(BLOCK));
  await volume.seal({ grade: 'crash', pinAs: [nextOf(BACKUP)] });
  const asked: EncodingQuality[] = [];
  const encoder: ParcelEncoder = {
    encode: (parcel, quality) => {
      asked.push(quality);
      return Promise.resolve(encode(parcel, 4));
    },
  };
  const lines: Lines = {
    dialer: ({ type }) => ({
      name: 'nobody answers',
      type,
      dial: (signal) =>
        new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
    }),
    listener: () => {
      throw new Error('nobody listens here');
    },
  };
  const keys = generateKeyPair((count) => seeded.bytes(count));
  const peers: BackupPeer[] = [];
  const configuration = {
    role: 'primary',
    name: 'branch',
    state: '/state',
    volumes: [],
    backups: [{ name: BACKUP, publicKey: keys.publicKey, links }],
    listen,
  } as unknown as PrimaryConfiguration;
  const primary = new PrimaryPeers({
    ...{ log: silentLog, clock, random: seeded, files, peers },
    notes: new SeedNotes(files, '/state/seeds'),
    volumes: [
      { name: volume.name, id: volume.id, blockSize: BLOCK, service: volume, index: { shared: null } },
    ] as unknown as ProtectedVolume[],
    site: primarySite({ name: 'branch', keys, clock, random: seeded, peers }),
    registry: new PortRegistry(lines, clock, links as readonly CallLink[], listen as readonly ListenPort[]),
    calls: await CallRecord.open(files, '/state/calls.json'),
    encoder: encoder as unknown as Encoder,
    pauses: await PauseNote.open(files, '/state/paused.json'),
    events: new EventLog(clock, silentLog),
  });
  await primary.start(configuration);
  await clock.until('a parcel is encoded', () => asked.length > 0);
  await primary.close();
  return asked[0] as EncodingQuality;
}

describe('a primary that encodes while no line is up', () => {
  it('presses as the first of its links deserves', async () => {
    expect(await pressed([modem, tcp])).to.equal(11);
    expect(await pressed([tcp, modem])).to.equal(4);
    expect(await pressed([fastSerial])).to.equal(9);
  });

  it('presses as the port deserves on which it is called, where it calls nobody', async () => {
    expect(await pressed([], [{ ...modem, answerAfter: 1 }])).to.equal(11);
    expect(await pressed([])).to.equal(4);
  });
});
