import { expect } from 'chai';
import type { CallLink, ListenPort } from '../../../src/config/configuration.js';
import { PortRegistry } from '../../../src/appliance/port-registry.js';
import { Ports } from '../../../src/appliance/ports.js';
import { makeCall } from '../../../src/appliance/site.js';
import type { Transport } from '../../../src/transport/transport.js';
import type { VirtualClock } from '../../support/virtual-clock.js';
import { BAUD, Cable } from './cable.js';

const SERIAL: CallLink & ListenPort = { type: 'serial', device: '/dev/line', baudRate: BAUD, floor: null };

describe('a line that is both called out on and listened on', () => {
  it('is opened once at a time: the listener steps back for a call out, and waits again after it', async () => {
    const cable = new Cable();
    const { clock, lines } = cable;
    const near = cable.site('backup');
    const registry = new PortRegistry(lines, clock, [SERIAL], [SERIAL]);
    const ports = new Ports(near, cable.events);
    registry.listen(SERIAL, ports);
    const far = new Ports(cable.site('primary'), cable.events);
    far.listen(cable.modem.listener);
    await clock.pass(1000);
    expect(cable.open.now).to.equal(1);

    const dialling = registry.dialer(SERIAL).dial(new AbortController().signal);
    await clock.pass(1000);
    const call = makeCall({
      site: near,
      transport: await dialling,
      peerKey: cable.keys.primary.publicKey,
      onMeeting: () => undefined,
    });
    await clock.until('they have met', () => cable.met.length === 2, 10_000);
    expect(cable.met).to.have.members(['backup has called', 'primary was called']);
    expect(cable.open).to.deep.equal({ now: 1, most: 1 });
    call.close('done');
    await clock.pass(2000);
    expect(cable.open).to.deep.equal({ now: 1, most: 1 });
    await closeAll(clock, ports, far);
  });

  it('when both ends call at the same time, the call of the primary wins', async () => {
    const cable = new Cable();
    const { clock, modem } = cable;
    const signal = new AbortController().signal;
    const ended: string[] = [];
    const listenerEnd = new Promise<Transport>((resolve) => {
      void modem.listener.listen(
        (transport) => {
          resolve(transport);
          return new Promise(() => undefined);
        },
        () => undefined,
        signal,
      );
    });
    const calls = [
      { role: 'primary', peer: 'backup', transport: await modem.dialer.dial(signal) },
      { role: 'backup', peer: 'primary', transport: await listenerEnd },
    ] as const;
    const both = calls.map(({ role, peer, transport }) =>
      makeCall({
        site: cable.site(role),
        transport,
        peerKey: cable.keys[peer].publicKey,
        onMeeting: () => ended.push(role),
      }),
    );
    await clock.until('both have met', () => new Set(ended).size === 2, 20_000);
    await clock.pass(60_000);
    expect(ended).to.have.lengthOf(2);
    for (const call of both) call.close('done');
    await clock.pass(1000);
  });
});

async function closeAll(clock: VirtualClock, ...ports: readonly Ports[]): Promise<void> {
  const state = { closed: false };
  const all = Promise.all(ports.map((each) => each.close())).then(() => (state.closed = true));
  await clock.until('the ports are closed', () => state.closed, 60_000);
  await all;
}
