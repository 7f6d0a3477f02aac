import { expect } from 'chai';
import { generateKeyPair, type KeyPair } from '../../../protocol/handshake/keys.js';
import type { CallLink, ListenPort } from '../../../src/config/configuration.js';
import { EventLog } from '../../../src/appliance/event-log.js';
import type { Lines } from '../../../src/appliance/lines.js';
import { PortRegistry } from '../../../src/appliance/port-registry.js';
import { Ports } from '../../../src/appliance/ports.js';
import { makeCall, type Site } from '../../../src/appliance/site.js';
import { silentLog } from '../../../src/platform/log.js';
import type { Session } from '../../../src/replication/call.js';
import { NullModem } from '../../../src/transport/null-modem.js';
import type { Transport } from '../../../src/transport/transport.js';
import { Seeded } from '../../support/seeded.js';
import { VirtualClock } from '../replication/virtual-clock.js';

const BAUD = 115_200;
const SERIAL: CallLink & ListenPort = { type: 'serial', device: '/dev/line', baudRate: BAUD };

const quietSession: Session = {
  handleMessage: () => undefined,
  handleSegment: () => undefined,
  handleProgress: () => undefined,
  handleParcelHeld: () => undefined,
  handleEnd: () => undefined,
};

/** Two sites that know each other, and one cable between them. */
class Cable {
  readonly clock = new VirtualClock();
  readonly seeded = new Seeded(9);
  readonly keys = { primary: this.#keys(), backup: this.#keys() };
  readonly modem = new NullModem(this.clock, BAUD);
  readonly events = new EventLog(this.clock, silentLog);
  readonly met: string[] = [];
  /** How often the near end is open at this moment, and at most was. */
  readonly open = { now: 0, most: 0 };

  site(role: 'primary' | 'backup'): Site {
    const { clock, seeded } = this;
    const peer = role === 'primary' ? 'backup' : 'primary';
    return {
      role,
      keys: this.keys[role],
      clock,
      random: seeded,
      peerName: (key) => (Buffer.compare(key, this.keys[peer].publicKey) === 0 ? peer : undefined),
      hello: () => ({ name: role, software: 'test', copies: [], complete: true }),
      meet: ({ isIncoming }) => {
        this.met.push(`${role} ${isIncoming ? 'was called' : 'has called'}`);
        return quietSession;
      },
    };
  }

  /** The near end as a device that is both called out on and listened on. */
  get lines(): Lines {
    const { modem, open } = this;
    const opened = async (line: Promise<Transport>): Promise<Transport> => {
      const transport = await line;
      open.most = Math.max(open.most, ++open.now);
      const close = transport.close.bind(transport);
      let isOpen = true;
      transport.close = () => {
        if (isOpen) open.now--;
        isOpen = false;
        return close();
      };
      return transport;
    };
    return {
      dialer: () => ({
        ...modem.dialer,
        type: 'serial',
        dial: (signal) => opened(modem.dialer.dial(signal)),
      }),
      listener: () => ({
        ...modem.dialer,
        type: 'serial',
        listen: async (onCall, report, signal) => {
          while (!signal.aborted) {
            const transport = await opened(modem.dialer.dial(signal));
            report(null);
            await onCall(transport);
          }
        },
      }),
    };
  }

  #keys(): KeyPair {
    return generateKeyPair((count) => this.seeded.bytes(count));
  }
}

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
