import { expect } from 'chai';
import { crc32 } from 'node:zlib';
import { generateKeyPair } from '../../../protocol/handshake/keys.js';
import { Link } from '../../../protocol/link/link.js';
import { millis } from '../../../protocol/units.js';
import { systemClock } from '../../../src/platform/clock.js';
import { Call } from '../../../src/replication/call.js';
import { TransportError } from '../../../src/transport/errors.js';
import type { TransportHandler } from '../../../src/transport/transport.js';
import { Seeded } from '../../support/seeded.js';

/** A call on a line of 9600 baud on which a frame has come in part. */
function halfCall(): { readonly call: Call; readonly link: Link; readonly handler: TransportHandler } {
  const random = new Seeded(1);
  const randomBytes = (count: number): Uint8Array => random.bytes(count);
  const link = new Link({
    initiator: false,
    role: 'backup',
    keys: generateKeyPair(randomBytes),
    acceptPeer: () => true,
    randomBytes,
    crc32: (bytes) => crc32(bytes),
    bytesPerSecond: 960,
  });
  const handlers: TransportHandler[] = [];
  const call = new Call({
    transport: {
      name: 'line',
      type: 'serial',
      bytesPerSecond: 960,
      bytesSent: 0,
      bytesReceived: 0,
      ready: true,
      tail: Uint8Array.of(1, 2, 3),
      attach: (handler) => void handlers.push(handler),
      send: () => undefined,
      abandon: () => undefined,
      close: () => Promise.resolve(),
    },
    link,
    clock: systemClock,
    onSession: () => {
      throw new Error('nobody has called');
    },
  });
  return { call, link, handler: handlers[0] as TransportHandler };
}

describe('a call', () => {
  it('whose line is lost hands its link what had come of the frame on the way', async () => {
    const { call, link, handler } = halfCall();
    const tails: Uint8Array[] = [];
    link.handleTail = (bytes) => tails.push(bytes);
    handler.onClosed(new TransportError('lost', 'the line hung up'));
    expect((await call.ended).reason).to.equal('line-lost');
    expect(tails).to.deep.equal([Uint8Array.of(1, 2, 3)]);
  });

  it('tells its link of bytes of a frame that has not ended, and wakes it when it then wants to be', async () => {
    const { call, link, handler } = halfCall();
    let wakeAt: number | undefined;
    const woken = new Promise<void>((resolve) => {
      link.pollTimeout = () => (wakeAt === undefined ? undefined : millis(wakeAt));
      link.handleArriving = (now) => (wakeAt = now);
      link.handleTimeout = () => {
        wakeAt = undefined;
        resolve();
      };
    });
    handler.onArriving?.();
    await woken;
    handler.onClosed(null);
    await call.ended;
  });
});
