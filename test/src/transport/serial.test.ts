import { expect } from 'chai';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { MAX_ENCODED_FRAME } from '../../../protocol/framing/limits.js';
import { systemClock } from '../../../src/platform/clock.js';
import type { TransportError } from '../../../src/transport/errors.js';
import { serialDialer, serialListener } from '../../../src/transport/serial.js';
import type { Transport } from '../../../src/transport/transport.js';
import { PtyPair } from '../../support/pty-pair.js';
import { requires } from '../../support/requirements.js';
import { sandboxPerTest } from '../../support/sandbox.js';
import { Seeded } from '../../support/seeded.js';
import { until } from '../../support/until.js';
import { frameOf, Watched } from './watched.js';

const BAUD = 921_600;
const settings = (device: string): { readonly device: string; readonly baudRate: number } => ({
  device,
  baudRate: BAUD,
});
const open = (device: string): Promise<Transport> =>
  serialDialer(settings(device), systemClock).dial(new AbortController().signal);

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'opened';
  } catch (error) {
    return (error as TransportError).code;
  }
}

describe('a serial line', function () {
  this.timeout(30_000);
  before(function () {
    requires(this, { programs: ['socat'] });
  });
  const sandbox = sandboxPerTest();

  it('carries frames both ways and counts their bytes', async () => {
    const pair = await PtyPair.open(sandbox());
    const [left, right] = [new Watched(await open(pair.left)), new Watched(await open(pair.right))];
    const seeded = new Seeded(4);
    const lengths = [
      1,
      2,
      500,
      MAX_ENCODED_FRAME,
      ...Array.from({ length: 30 }, () => 1 + seeded.below(3000)),
    ];
    const frames = lengths.map((length) => frameOf(seeded.bytes(length)));
    for (const frame of frames) {
      await left.untilReady();
      left.transport.send(frame);
      await right.untilReady();
      right.transport.send(frame);
    }
    await Promise.all([left.untilFrames(frames.length), right.untilFrames(frames.length)]);
    const all = Buffer.concat(frames);
    for (const end of [left, right]) {
      expect(Buffer.concat(end.frames.map((frame) => frameOf(frame))).equals(all)).to.equal(true);
      expect(end.transport.bytesReceived).to.equal(all.length);
      expect(end.transport.bytesSent).to.equal(all.length);
    }
    await Promise.all([left.transport.close(), right.transport.close()]);
    expect(left.closings).to.deep.equal([null]);
  });

  for (const flow of ['none', 'xonxoff'] as const) {
    it(`tells what has come of a frame that is cut off, with flow ${flow}`, async () => {
      const pair = await PtyPair.open(sandbox());
      const [left, right] = await Promise.all(
        [pair.left, pair.right].map(async (device) => {
          const dialer = serialDialer({ ...settings(device), flow }, systemClock);
          return new Watched(await dialer.dial(new AbortController().signal));
        }),
      );
      const frame = frameOf(new Seeded(5).bytes(700));
      left!.transport.send(frame);
      await right!.untilFrames(1);
      left!.transport.send(frame.subarray(0, 400));
      await until('it has come', () => (right!.transport.tail?.length ?? 0) >= 400);
      await pair.cut();
      await right!.untilClosed();
      expect(Buffer.compare(right!.transport.tail!, frame.subarray(0, 400))).to.equal(0);
      await Promise.all([left!.transport.close(), right!.transport.close()]);
    });
  }

  it('takes no second frame while the line could not have carried the first', async () => {
    const pair = await PtyPair.open(sandbox());
    const dialer = serialDialer({ device: pair.left, baudRate: 9600 }, systemClock);
    const left = new Watched(await dialer.dial(new AbortController().signal));
    expect(left.transport.ready).to.equal(true);
    left.transport.send(frameOf(Buffer.alloc(400, 1)));
    expect(left.transport.ready).to.equal(false);
    await until('there is room', () => left.readies > 0);
    expect(left.transport.ready).to.equal(true);
    await left.transport.close();
  });

  it('with software flow control carries every byte, and puts neither XON nor XOFF on the line itself', async () => {
    const pair = await PtyPair.open(sandbox());
    const dial = (device: string): Promise<Transport> =>
      serialDialer({ ...settings(device), flow: 'xonxoff' }, systemClock).dial(new AbortController().signal);
    const [left, right] = [new Watched(await dial(pair.left)), new Watched(await dial(pair.right))];
    const frame = frameOf(Buffer.from(Array.from({ length: 2550 }, (_, n) => 1 + (n % 255))));
    left.transport.send(frame);
    await right.untilFrames(1);
    expect(Buffer.compare(frameOf(right.frames[0]!), frame)).to.equal(0);
    expect(left.transport.bytesSent).to.equal(frame.length + 4 * 10);
    expect(pair.bytes.leftToRight).to.equal(frame.length + 4 * 10);
    await Promise.all([left.transport.close(), right.transport.close()]);
  });

  it('drops what has not left of a frame that is abandoned, and the next one is whole', async () => {
    const pair = await PtyPair.open(sandbox());
    const dialer = serialDialer({ device: pair.left, baudRate: 9600 }, systemClock);
    const left = new Watched(await dialer.dial(new AbortController().signal));
    const right = new Watched(await open(pair.right));
    left.transport.send(frameOf(Buffer.alloc(3000, 1)));
    left.transport.abandon();
    await left.untilReady();
    left.transport.send(frameOf(Buffer.of(1, 2, 3)));
    await right.untilFrames(2);
    expect(right.frames[0]!.length, 'of 3000').to.be.below(3000);
    expect(Buffer.from(right.frames[1]!)).to.deep.equal(Buffer.of(1, 2, 3));
    await Promise.all([left.transport.close(), right.transport.close()]);
  });

  it('keeps a bounded part of noise without delimiters, and the next frame is whole', async () => {
    const pair = await PtyPair.open(sandbox());
    const right = new Watched(await open(pair.right));
    // From another process: this one keeps the line going meanwhile.
    const noise = `{ head -c 400000 /dev/zero | tr '\\000' U; printf '\\000\\000\\000\\007\\007\\007\\000'; } > '${pair.left}'`;
    await promisify(execFile)('sh', ['-c', noise]);
    await until('the good frame is there', () => right.frames.some((frame) => frame.length === 3));
    expect(right.frames).to.have.length(2);
    expect(right.frames[0]).to.have.length(MAX_ENCODED_FRAME);
    await right.transport.close();
  });

  it('that hangs up is told as lost, once, and closes', async () => {
    const pair = await PtyPair.open(sandbox());
    const left = new Watched(await open(pair.left));
    await pair.cut();
    expect((await left.untilClosed())?.code).to.equal('lost');
    expect(left.transport.ready).to.equal(false);
    left.transport.send(frameOf(Buffer.of(1)));
    await left.transport.close();
    expect(left.closings).to.have.length(1);
  });

  it('that hung up before anybody read it is told as lost, too', async () => {
    const pair = await PtyPair.open(sandbox());
    const transport = await open(pair.left);
    await pair.cut();
    // Each read of it gives no bytes at once now; nothing ever has to be waited for.
    const left = new Watched(transport);
    expect((await left.untilClosed())?.code).to.equal('lost');
    await transport.close();
    expect(left.closings).to.have.length(1);
  });

  it('that is absent, or in use, is told as that', async () => {
    const pair = await PtyPair.open(sandbox());
    expect(await codeOf(open(sandbox().path('nothing')))).to.equal('no-device');
    const left = await open(pair.left);
    expect(await codeOf(open(pair.left))).to.equal('in-use');
    await left.close();
    const again = await open(pair.left);
    await again.close();
  });

  it('on which calls are awaited is opened again after each, and when it comes back', async () => {
    const pair = await PtyPair.open(sandbox());
    const over = new AbortController();
    const calls: Watched[] = [];
    const reports: (TransportError | null)[] = [];
    const listening = serialListener(settings(pair.right), systemClock).listen(
      async (transport) => {
        const watched = new Watched(transport);
        calls.push(watched);
        await watched.ended;
        await transport.close();
      },
      (error) => reports.push(error),
      over.signal,
    );
    await until('the port is open', () => calls.length === 1);
    await pair.cut();
    await until('it is missed', () => reports.some((error) => error?.code === 'no-device'));
    await pair.restore();
    await until('it is open again', () => calls.length === 2);
    const left = new Watched(await open(pair.left));
    left.transport.send(frameOf(Buffer.of(1, 2, 3)));
    await calls[1]!.untilFrames(1);
    over.abort();
    await calls[1]!.transport.close();
    await listening;
    await left.transport.close();
  });
});
