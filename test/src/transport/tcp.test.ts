import { expect } from 'chai';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { MAX_ENCODED_FRAME } from '../../../protocol/framing/limits.js';
import { millis, wallTime } from '../../../protocol/units.js';
import { systemClock, type Clock } from '../../../src/platform/clock.js';
import type { TransportError } from '../../../src/transport/errors.js';
import { tcpDialer, tcpListener } from '../../../src/transport/tcp.js';
import { Seeded } from '../../support/seeded.js';
import { until } from '../../support/until.js';
import { VirtualClock } from '../../support/virtual-clock.js';
import { frameOf, Watched } from './watched.js';

const HOST = '127.0.0.1';

async function freePort(): Promise<number> {
  const server = createServer().listen(0, HOST);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** A listener that keeps its calls until they end. */
class Port {
  readonly calls: Watched[] = [];
  readonly reports: (TransportError | null)[] = [];
  readonly #over = new AbortController();
  readonly #listening: Promise<void>;

  constructor(
    readonly port: number,
    clock = systemClock,
  ) {
    this.#listening = tcpListener({ host: HOST, port }, clock).listen(
      async (transport) => {
        const watched = new Watched(transport);
        this.calls.push(watched);
        await watched.ended;
      },
      (error) => this.reports.push(error),
      this.#over.signal,
    );
  }

  async untilUp(): Promise<void> {
    await until('the port is up', () => this.reports.at(-1) === null);
  }

  async close(): Promise<void> {
    this.#over.abort();
    await this.#listening;
  }
}

const dial = async (port: number): Promise<Watched> =>
  new Watched(await tcpDialer({ host: HOST, port }, systemClock).dial(new AbortController().signal));

async function failure(work: Promise<unknown>): Promise<TransportError> {
  try {
    await work;
  } catch (error) {
    return error as TransportError;
  }
  return expect.fail('it should have failed');
}

describe('a line over TCP', () => {
  let port: Port;
  beforeEach(async () => {
    port = new Port(await freePort());
    await port.untilUp();
  });
  afterEach(() => port.close());

  it('carries frames both ways, of any length, and counts their bytes', async () => {
    const caller = await dial(port.port);
    await until('the call is there', () => port.calls.length === 1);
    const answerer = port.calls[0]!;
    const seeded = new Seeded(2);
    const lengths = [
      1,
      2,
      300,
      MAX_ENCODED_FRAME,
      ...Array.from({ length: 60 }, () => 1 + seeded.below(9000)),
    ];
    const frames = lengths.map((length) => frameOf(seeded.bytes(length)));
    for (const frame of frames) {
      await caller.untilReady();
      caller.transport.send(frame);
      answerer.transport.send(frame);
    }
    await answerer.untilFrames(frames.length);
    await caller.untilFrames(frames.length);
    const all = Buffer.concat(frames);
    for (const end of [caller, answerer]) {
      expect(Buffer.concat(end.frames.map((frame) => frameOf(frame))).equals(all)).to.equal(true);
      expect(end.transport.bytesReceived).to.equal(all.length);
    }
    await caller.transport.close();
    expect((await answerer.untilClosed())?.code).to.equal('lost');
    expect(caller.closings).to.deep.equal([null]);
  });

  it('has no room while the other side does not read, and has again when it does', async () => {
    const server = createServer().listen(0, HOST);
    await once(server, 'listening');
    const taken = once(server, 'connection');
    const caller = await dial((server.address() as AddressInfo).port);
    const [socket] = (await taken) as [Socket];
    socket.pause();
    for (let i = 0; i < 4000 && caller.transport.ready; i++)
      caller.transport.send(frameOf(Buffer.alloc(16_000, 1)));
    expect(caller.transport.ready).to.equal(false);
    expect(caller.readies).to.equal(0);
    socket.resume();
    await caller.untilReady();
    expect(caller.readies).to.be.greaterThan(0);
    await caller.transport.close();
    socket.destroy();
    server.close();
  });

  it('serves several calls at once, and closes them all when it stops', async () => {
    const callers = await Promise.all([dial(port.port), dial(port.port), dial(port.port)]);
    await until('all are there', () => port.calls.length === 3);
    await port.close();
    for (const caller of callers) expect((await caller.untilClosed())?.code).to.equal('lost');
    for (const call of port.calls) expect(call.closings).to.deep.equal([null]);
  });

  it('that is reset is told as lost, once', async () => {
    const socket = connect({ host: HOST, port: port.port });
    await once(socket, 'connect');
    await until('the call is there', () => port.calls.length === 1);
    socket.resetAndDestroy();
    expect((await port.calls[0]!.untilClosed())?.code).to.equal('lost');
    port.calls[0]!.transport.send(frameOf(Buffer.of(1)));
    await port.calls[0]!.transport.close();
    expect(port.calls[0]!.closings).to.have.length(1);
  });

  it('keeps a bounded part of noise without delimiters', async () => {
    const socket = connect({ host: HOST, port: port.port });
    await once(socket, 'connect');
    for (let i = 0; i < 200; i++) socket.write(Buffer.alloc(16_384, 0x55));
    socket.write(frameOf(Buffer.of(1)));
    socket.write(frameOf(Buffer.of(9, 9, 9)));
    await until('the good frame is there', () => port.calls[0]?.frames.some((frame) => frame.length === 3));
    for (const frame of port.calls[0]!.frames) expect(frame.length).to.be.at.most(MAX_ENCODED_FRAME);
    socket.destroy();
  });
});

describe('a TCP line that cannot be had', () => {
  it('is refused where nobody listens, with what to look at', async () => {
    const error = await failure(dial(await freePort()));
    expect(error.code).to.equal('refused');
    expect(error.hint).to.match(/running/);
  });

  it('is given up after ten seconds without an answer', async () => {
    const timers: { readonly delay: number; readonly fire: () => void }[] = [];
    const clock: Clock = {
      now: () => millis(0),
      wall: () => wallTime(0),
      after: (delay, fire) => {
        timers.push({ delay, fire });
        return () => undefined;
      },
    };
    const dialing = failure(
      tcpDialer({ host: HOST, port: await freePort() }, clock).dial(new AbortController().signal),
    );
    // In the same turn: the system cannot have answered yet.
    expect(timers.map(({ delay }) => delay)).to.deep.equal([10_000]);
    timers[0]?.fire();
    expect((await dialing).code).to.equal('lost');
  });

  it('is let go at once when the caller does not want it any more', async () => {
    const clock = new VirtualClock();
    const abort = new AbortController();
    const reason = new Error('not any more');
    const port = await freePort();
    const dialing = failure(tcpDialer({ host: HOST, port }, clock).dial(abort.signal));
    abort.abort(reason);
    expect(await dialing).to.equal(reason);
    expect(clock.waiting).to.equal(0);
    const early = tcpDialer({ host: HOST, port: 1 }, clock).dial(AbortSignal.abort(reason));
    expect(await failure(early)).to.equal(reason);
    expect(clock.waiting).to.equal(0);
  });

  it('says that the port is taken, and listens as soon as it is free', async () => {
    const clock = new VirtualClock();
    const number = await freePort();
    const first = new Port(number);
    await first.untilUp();
    const second = new Port(number, clock);
    await until('the second was told', () => second.reports.length > 0);
    expect(second.reports[0]).to.include({ code: 'in-use' });
    await first.close();
    await until('it is free', async () => {
      await clock.pass(5000);
      return second.reports.at(-1) === null;
    });
    await second.close();
    expect(clock.waiting).to.equal(0);
  });
});
