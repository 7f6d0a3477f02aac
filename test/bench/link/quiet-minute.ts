import { generateKeyPair } from '../../../protocol/handshake/keys.js';
import { Link } from '../../../protocol/link/link.js';
import { lineCrc } from '../../../src/appliance/link-crc.js';
import { systemClock } from '../../../src/platform/clock.js';
import { systemRandom } from '../../../src/platform/random.js';
import { Call, type CallOptions, type Session } from '../../../src/replication/call.js';
import { serialDialer, serialListener } from '../../../src/transport/serial.js';
import type { Sandbox } from '../../support/sandbox.js';
import { until } from '../../support/until.js';
import { PtyLine } from './pty-line.js';

const BAUD = 57600;

const silent: Session = {
  handleMessage: () => undefined,
  handleSegment: () => undefined,
  handleProgress: () => undefined,
  handleParcelHeld: () => undefined,
  handleEnd: () => undefined,
};

/** Bytes both ways on an open line between two of the product's ports on which nothing is said for so many ms, in real time. */
export async function idleBytesForReal(sandbox: Sandbox, duration: number): Promise<number> {
  const line = new PtyLine(sandbox, 'quiet', { baud: BAUD, latency: 0, seed: 1 });
  await line.open();
  const randomBytes = (count: number): Uint8Array => systemRandom.bytes(count);
  const keys = { primary: generateKeyPair(randomBytes), backup: generateKeyPair(randomBytes) };
  const shared = { randomBytes, crc32: lineCrc, bytesPerSecond: BAUD / 10 };
  const calls: Call[] = [];
  let established = 0;
  const call = (transport: CallOptions['transport'], link: Link): Promise<unknown> => {
    const onSession = (): Session => {
      established++;
      return silent;
    };
    const made = new Call({ transport, link, clock: systemClock, onSession });
    calls.push(made);
    return made.ended;
  };
  const stop = new AbortController();
  const listening = serialListener({ device: line.right, baudRate: BAUD }, systemClock).listen(
    async (transport) => {
      const { backup } = keys;
      const answering = { acceptPeer: () => true, answer: () => new Uint8Array() };
      await call(
        transport,
        new Link({ ...shared, initiator: false, role: 'backup', keys: backup, ...answering }),
      );
    },
    () => undefined,
    stop.signal,
  );
  const transport = await serialDialer({ device: line.left, baudRate: BAUD }, systemClock).dial(stop.signal);
  const { primary, backup } = keys;
  const calling = { initiator: true, role: 'primary', keys: primary, peerKey: backup.publicKey } as const;
  const called = call(transport, new Link({ ...shared, ...calling }));
  try {
    await until('both sides have a session', () => established === 2);
    const crossed = (): number => line.bytesOut + line.bytesBack;
    let before = -1;
    await until('what belongs to the handshake is over', () => {
      const isOver = before === crossed();
      before = crossed();
      return isOver;
    });
    await new Promise((resolve) => setTimeout(resolve, duration));
    return crossed() - before;
  } finally {
    stop.abort();
    for (const made of calls) made.close('done');
    await called;
    await line.close();
    await listening;
  }
}
