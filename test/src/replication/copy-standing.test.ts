import { expect } from 'chai';
import type { CopyStatus } from '../../../protocol/messages/message.js';
import { silentLog } from '../../../src/platform/log.js';
import { CopyStanding } from '../../../src/replication/copy-standing.js';
import { encode } from '../../../src/replication/parcel-encoding.js';
import { Replicator } from '../../../src/replication/replicator.js';
import { Spool } from '../../../src/replication/spool.js';
import { nextOf } from '../../../src/replication/travel-pins.js';
import { CrashFiles } from '../../support/crash-files.js';
import { Seeded } from '../../support/seeded.js';
import { settle, VirtualClock } from '../../support/virtual-clock.js';
import { ModelVolume, whileAlive } from './model-volume.js';
import { NotedLink } from './noted-link.js';

const BACKUP = 'vault';

describe('where a copy stands', () => {
  it('is not known when nobody is connected, whatever is heard late', async () => {
    const volume = new ModelVolume(new Seeded(1), 'ledger', 4);
    const { id } = await volume.seal({ grade: 'crash', pinAs: [] });
    const copy = new CopyStanding(volume.name, volume.id);
    copy.durable(id, null);
    copy.applied(id);
    copy.withdrawn();
    expect([copy.session, copy.status, copy.isConnected]).to.deep.equal([null, null, false]);
  });

  it('is what the session in use has told, also when it began while a set was looked for by what an earlier one told', async () => {
    // Found by review: the new session was offered the set that the copy had needed as it stood in the old one.
    const seeded = new Seeded(2);
    const volume = new ModelVolume(seeded, 'ledger', 8);
    volume.write(1, seeded.bytes(4096));
    const { id: held } = await volume.seal({ grade: 'crash', pinAs: [`base:${BACKUP}`] });
    volume.write(2, seeded.bytes(4096));
    await volume.seal({ grade: 'crash', pinAs: [nextOf(BACKUP)] });
    const looks: (() => void)[] = [];
    let isSlow = false;
    const replicator = new Replicator({
      volumeName: volume.name,
      volumeId: volume.id,
      blockSize: 4096,
      volume: {
        ...whileAlive(volume, () => true),
        countChanges: async (bounds) => {
          if (isSlow) await new Promise<void>((resolve) => looks.push(resolve));
          return volume.countChanges(bounds);
        },
      },
      backup: BACKUP,
      spool: await Spool.open('/spool', new CrashFiles(), seeded),
      encoder: { encode: (parcel) => Promise.resolve(encode(parcel, 4)) },
      clock: new VirtualClock(),
      random: seeded,
      log: silentLog,
      onEvent: () => undefined,
    });
    const status: CopyStatus = {
      kind: 'copy-status',
      volume: volume.name,
      volumeId: volume.id,
      state: held,
      capture: null,
    };
    await replicator.start();
    isSlow = true;
    replicator.attach(new NotedLink(), { ...status, volumeId: null, state: null });
    for (let turns = 0; looks.length === 0 && turns < 100; turns++) await settle();
    expect(looks, 'the blocks of the first copy are being counted').to.have.length(1);
    isSlow = false;
    const link = new NotedLink();
    replicator.attach(link, status);
    for (const look of looks) look();
    for (let turns = 0; link.said.length === 0 && turns < 100; turns++) await settle();
    const offers = link.said.flatMap((message) => (message.kind === 'offer' ? [message.from] : []));
    expect(offers).to.deep.equal([held]);
    await replicator.close();
  });
});
