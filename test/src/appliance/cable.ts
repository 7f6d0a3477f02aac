import { generateKeyPair, type KeyPair } from '../../../protocol/handshake/keys.js';
import { EventLog } from '../../../src/appliance/event-log.js';
import type { Lines } from '../../../src/appliance/lines.js';
import type { Site } from '../../../src/appliance/site.js';
import { silentLog } from '../../../src/platform/log.js';
import type { Session, SessionLink } from '../../../src/replication/call.js';
import { NullModem } from '../../../src/transport/null-modem.js';
import type { Transport } from '../../../src/transport/transport.js';
import { Seeded } from '../../support/seeded.js';
import { VirtualClock } from '../../support/virtual-clock.js';

export const BAUD = 115_200;

const quietSession: Session = {
  handleMessage: () => undefined,
  handleSegment: () => undefined,
  handleProgress: () => undefined,
  handleParcelHeld: () => undefined,
  handleEnd: () => undefined,
};

/** Two sites that know each other, and one cable between them. */
export class Cable {
  readonly clock = new VirtualClock();
  readonly seeded = new Seeded(9);
  readonly keys = { primary: this.#keys(), backup: this.#keys() };
  readonly modem = new NullModem(this.clock, BAUD);
  readonly events = new EventLog(this.clock, silentLog);
  readonly met: string[] = [];
  /** What the session of a site is; nothing comes of a quiet one. */
  session: (link: SessionLink) => Session = () => quietSession;
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
      meet: ({ isIncoming, link }) => {
        this.met.push(`${role} ${isIncoming ? 'was called' : 'has called'}`);
        return this.session(link);
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
