import { expect } from 'chai';
import { EventLog } from '../../../src/appliance/event-log.js';
import type { Ports } from '../../../src/appliance/ports.js';
import { PrimaryStatus } from '../../../src/appliance/primary-status.js';
import type { ProtectedVolume } from '../../../src/appliance/protected-volumes.js';
import { VolumeError } from '../../../src/engine/errors.js';
import type { VolumeDescription } from '../../../src/engine/volume-service.js';
import { silentLog } from '../../../src/platform/log.js';
import { VirtualClock } from '../../support/virtual-clock.js';

const DESCRIPTION = { sizeBytes: 4096, blockSize: 4096, dirtyBlocks: 0, warnings: [] };

/** A volume that says nothing of itself until it is told to, or is closed. */
class SlowVolume {
  #answer: (description: VolumeDescription) => void = () => undefined;
  #fail: (error: Error) => void = () => undefined;
  readonly volume: ProtectedVolume;

  constructor(name: string) {
    const describe = (): Promise<VolumeDescription> =>
      new Promise((resolve, reject) => {
        this.#answer = resolve;
        this.#fail = reject;
      });
    const parts = { name, service: { describe }, snapshots: { trouble: null }, together: [name] };
    this.volume = parts as unknown as ProtectedVolume;
  }

  answer(): void {
    this.#answer(DESCRIPTION as unknown as VolumeDescription);
  }

  close(): void {
    this.#fail(new VolumeError('closed', 'the volume is closed'));
  }
}

function statusOf(volumes: readonly ProtectedVolume[]): PrimaryStatus {
  const clock = new VirtualClock();
  return new PrimaryStatus({
    ...{ name: 'branch', volumes, peers: [], clock },
    ports: { meters: [] } as unknown as Ports,
    schedule: { status: () => null },
    events: new EventLog(clock, silentLog),
  });
}

describe('the status of a primary', () => {
  it('leaves out a volume that is taken out while it is asked for', async () => {
    const [ledger, journal] = [new SlowVolume('ledger'), new SlowVolume('journal')];
    const volumes = [ledger.volume, journal.volume];
    const status = statusOf(volumes);
    const told = status.tell();
    volumes.pop();
    journal.close();
    ledger.answer();
    expect((await told).volumes.map(({ name }) => name)).to.deep.equal(['ledger']);
    status.close();
  });

  it('fails where a volume that stays does not answer', async () => {
    const ledger = new SlowVolume('ledger');
    const status = statusOf([ledger.volume]);
    const told = status.tell().then(
      () => 'told',
      (error: unknown) => (error as Error).message,
    );
    ledger.close();
    expect(await told).to.equal('the volume is closed');
    status.close();
  });
});
