import { expect } from 'chai';
import { TransportError } from '../../../../src/transport/errors.js';
import { modemDialer, modemListener } from '../../../../src/transport/modem/modem.js';
import type { Transport } from '../../../../src/transport/transport.js';
import { ModemExchange, SHORT_TIMES } from '../../../support/modem-emulator-exchange.js';
import { EmulatedDevices, type Cable } from '../../../support/modem-emulator-port.js';
import type { EmulatedModem } from '../../../support/modem-emulator.js';
import { VirtualClock } from '../../../support/virtual-clock.js';

const NO_WIRES: Cable = { wires: false };
const FRAME = Buffer.from([1, 2, 3, 0]);

/** Two modems on an exchange, and the means to call from the one and to answer on the other. */
class Town {
  readonly clock = new VirtualClock();
  readonly exchange = new ModemExchange(this.clock, SHORT_TIMES);
  readonly devices = new EmulatedDevices();
  readonly here: EmulatedModem;
  readonly there: EmulatedModem;
  readonly reports: (string | null)[] = [];
  readonly calls: Ended[] = [];
  readonly stop = new AbortController();

  constructor(cable: Cable = NO_WIRES) {
    this.here = this.exchange.install('100', { report: ['CARRIER 9600', 'PROTOCOL: LAPM'] });
    this.there = this.exchange.install('200');
    this.devices.plug('here', this.here, cable);
    this.devices.plug('there', this.there, cable);
  }

  dial(number = '200', signal: AbortSignal = this.stop.signal): Promise<Transport> {
    const settings = { device: 'here', baudRate: 115_200, init: null, flow: 'none' as const };
    const dialer = modemDialer(
      { ...settings, dial: number, connectTimeoutMs: 30_000 },
      this.clock,
      this.devices,
    );
    return dialer.dial(signal);
  }

  /** Takes calls; each is kept in `calls`. Resolves when nothing listens any more. */
  listen(device = 'there'): Promise<void> {
    const settings = { device, baudRate: 115_200, init: null, flow: 'none' as const, answerAfter: 2 };
    const onCall = async (transport: Transport): Promise<void> => {
      const call = new Ended(transport);
      this.calls.push(call);
      await call.ended;
    };
    const report = (error: TransportError | null): void => void this.reports.push(error?.code ?? null);
    return modemListener(settings, this.clock, this.devices).listen(onCall, report, this.stop.signal);
  }

  /** A call from here to there, up at both ends. */
  async connect(): Promise<{ readonly ours: Ended; readonly theirs: Ended }> {
    const before = this.calls.length;
    const ours = new Ended(await this.clock.untilSettled(this.dial()));
    await this.clock.pass(100);
    const theirs = this.calls[before];
    if (theirs === undefined) throw new Error('nobody answered');
    return { ours, theirs };
  }

  /** The code of a call that fails. */
  async failure(dialling: Promise<Transport>): Promise<string> {
    return this.clock.untilSettled(dialling).then(
      () => 'connected',
      (error: unknown) => (error instanceof TransportError ? error.code : String(error)),
    );
  }
}

/** A call: the frames that came, and how it ended. */
class Ended {
  readonly frames: Buffer[] = [];
  readonly ended: Promise<TransportError | null>;
  over = false;

  constructor(readonly transport: Transport) {
    this.ended = new Promise((resolve) => {
      transport.attach({
        onFrame: (frame) => this.frames.push(Buffer.from(frame)),
        onReady: () => undefined,
        onClosed: (error) => {
          this.over = true;
          resolve(error);
        },
      });
    });
  }
}

describe('a modem link', () => {
  it('writes down what is said to the modem and by it, up to the call', async () => {
    const town = new Town();
    const listening = town.listen();
    await town.clock.pass(5000);
    town.devices.said.length = 0;
    const { ours, theirs } = await town.connect();
    ours.transport.send(FRAME);
    await town.clock.pass(100);
    expect(town.devices.said).to.include('> ATDT200\\r');
    expect(town.devices.said.join('\n')).to.match(/< .*CONNECT 9600/);
    expect(town.devices.said.join('\n')).not.to.include('\\u0001');
    await town.clock.untilSettled(ours.transport.close());
    await town.clock.untilSettled(theirs.ended);
    town.stop.abort();
    await town.clock.untilSettled(listening);
  });

  it('calls, carries frames both ways at the speed agreed on, and hangs up by text', async () => {
    const town = new Town();
    const listening = town.listen();
    await town.clock.pass(1000);
    expect(town.reports).to.deep.equal([null]);
    const { ours, theirs } = await town.connect();
    expect([ours.transport.type, ours.transport.bytesPerSecond]).to.deep.equal(['modem', 960]);
    ours.transport.send(FRAME);
    theirs.transport.send(FRAME);
    await town.clock.pass(1000);
    expect(ours.frames).to.deep.equal([FRAME.subarray(0, -1)]);
    expect(theirs.frames).to.deep.equal([FRAME.subarray(0, -1)]);
    expect([ours.transport.bytesSent, ours.transport.bytesReceived]).to.deep.equal([4, 4]);

    await town.clock.untilSettled(ours.transport.close());
    expect(await ours.ended).to.equal(null);
    expect(town.exchange.log.at(-1)).to.equal('100 hangs up');
    expect(town.exchange.calls).to.deep.equal([]);
    expect((await town.clock.untilSettled(theirs.ended))?.code).to.equal('lost');
    town.stop.abort(new TransportError('closed', 'enough'));
    await town.clock.untilSettled(listening);
    expect([town.devices.isOpen('here'), town.devices.isOpen('there'), town.clock.waiting]).to.deep.equal([
      false,
      false,
      0,
    ]);
  });

  it('loses no byte of a frame that comes with CONNECT, however the bytes come', async () => {
    for (const cable of [NO_WIRES, { wires: false, byteByByte: true }, { wires: true }, 'batched'] as const) {
      const town = new Town(typeof cable === 'string' ? NO_WIRES : cable);
      if (cable === 'batched') {
        town.devices.plug('here', town.here, { wires: false, batch: { clock: town.clock, ms: 150 } });
      }
      void town.listen();
      await town.clock.pass(1000);
      const dialling = town.dial();
      const frame = Buffer.from([0x0a, 0x0d, 0x0a, 0x41, 0]);
      // The other side speaks at once, before this side has taken the call over.
      await town.clock.untilSettled(
        (async () => {
          while (town.calls.length === 0) await town.clock.pass(1);
          town.calls[0]?.transport.send(frame);
        })(),
      );
      const ours = new Ended(await town.clock.untilSettled(dialling));
      await town.clock.pass(200);
      expect(ours.frames).to.deep.equal([frame.subarray(0, -1)]);
    }
  });

  it('is paced by the slower modem: what is sent arrives', async () => {
    const town = new Town();
    void town.listen();
    await town.clock.pass(1000);
    const { ours, theirs } = await town.connect();
    for (let count = 0; count < 20;) {
      if (ours.transport.ready) {
        ours.transport.send(Buffer.concat([Buffer.alloc(95, 7), Buffer.of(0)]));
        count++;
      }
      await town.clock.pass(10);
    }
    await town.clock.pass(500);
    expect(theirs.frames).to.have.length(20);
  });

  const refusals: readonly (readonly [string, string, (town: Town) => void])[] = [
    ['a number in a call', 'busy', (town) => (town.there.faults.engaged = true)],
    ['a number that nobody answers', 'no-answer', () => undefined],
    ['a modem without a telephone line', 'no-dialtone', (town) => (town.here.faults.noDialtone = true)],
    ['a modem that is off', 'no-modem', (town) => (town.here.faults.off = true)],
    ['a modem that refuses numbers', 'barred', (town) => (town.here.faults.refusal = 'BLACKLISTED')],
    ['a modem that does not know a command', 'modem-error', (town) => (town.here.faults.unknown = /&C1/)],
    ['a device that is not there', 'no-device', (town) => town.devices.pull('here')],
  ];
  for (const [what, code, arrange] of refusals) {
    it(`fails with ${code} on ${what}, and frees the device`, async () => {
      const town = new Town();
      arrange(town);
      expect(await town.failure(town.dial())).to.equal(code);
      expect([town.devices.isOpen('here'), town.clock.waiting]).to.deep.equal([false, 0]);
      expect(town.exchange.calls).to.deep.equal([]);
    });
  }

  it('ends when the carrier drops, in the middle of a frame, and can be dialled again', async () => {
    const town = new Town();
    void town.listen();
    await town.clock.pass(1000);
    const first = await town.connect();
    first.theirs.transport.send(Buffer.concat([Buffer.alloc(500, 9), Buffer.of(0)]));
    await town.clock.pass(100);
    town.exchange.dropCarriers();
    await town.clock.pass(10);
    expect([first.ours.over, first.theirs.over]).to.deep.equal([true, true]);
    const error = await first.ours.ended;
    expect(error?.code).to.equal('lost');
    expect(error?.message).to.match(/carrier/);
    await town.clock.pass(2000);
    const second = await town.connect();
    second.ours.transport.send(FRAME);
    await town.clock.pass(100);
    expect(second.theirs.frames).to.have.length(1);
  });

  it('hangs up by DTR where there is one, and sees a carrier wire drop', async () => {
    const town = new Town({ wires: true });
    void town.listen();
    await town.clock.pass(1000);
    const first = await town.connect();
    const before = town.clock.now();
    await town.clock.untilSettled(first.ours.transport.close());
    expect(town.clock.now() - before).to.be.lessThan(1500);
    expect(town.exchange.log.at(-1)).to.equal('100 hangs up');
    await town.clock.pass(3000);
    const second = await town.connect();
    // The words are lost; the wire tells.
    town.here.attach(() => undefined);
    town.exchange.dropCarriers();
    expect((await town.clock.untilSettled(second.ours.ended, 2000))?.message).to.match(/carrier/);
  });

  it('hangs up by text where DTR can be set and does nothing', async () => {
    const town = new Town({ wires: false, deafDtr: true });
    void town.listen();
    await town.clock.pass(1000);
    const { ours } = await town.connect();
    await town.clock.untilSettled(ours.transport.close());
    expect(town.exchange.log.at(-1)).to.equal('100 hangs up');
  });

  it('lets the last frame through before it hangs up', async () => {
    const town = new Town();
    void town.listen();
    await town.clock.pass(1000);
    const { ours, theirs } = await town.connect();
    ours.transport.send(Buffer.concat([Buffer.alloc(4000, 5), Buffer.of(0)]));
    await town.clock.untilSettled(ours.transport.close());
    expect(theirs.frames.map(({ length }) => length)).to.deep.equal([4000]);
    expect(town.exchange.calls).to.deep.equal([]);
  });

  it('finds a modem that a killed process has left in a call, and ends that call', async () => {
    const town = new Town();
    void town.listen();
    await town.clock.pass(1000);
    const { theirs } = await town.connect();
    const other = new EmulatedDevices();
    other.plug('here', town.here);
    const settings = { device: 'here', baudRate: 115_200, init: null, flow: 'none' as const };
    const dialer = modemDialer({ ...settings, dial: '200', connectTimeoutMs: 30_000 }, town.clock, other);
    const dialling = dialer.dial(town.stop.signal);
    await town.clock.untilSettled(theirs.ended);
    expect(await town.failure(dialling)).to.equal('connected');
    expect(town.calls).to.have.length(2);
  });

  it('stops dialling when it is told to, and the other side stops ringing', async () => {
    const town = new Town();
    const stop = new AbortController();
    const failed = town.failure(town.dial('200', stop.signal));
    await town.clock.pass(500);
    expect(town.exchange.calls).to.have.length(1);
    stop.abort(new TransportError('closed', 'stopped'));
    expect(await failed).to.equal('closed');
    expect(town.exchange.calls).to.deep.equal([]);
    expect([town.devices.isOpen('here'), town.clock.waiting]).to.deep.equal([false, 0]);
  });

  it('stops listening while idle, while it rings and in a call', async () => {
    for (const wait of [0, 400, 3000]) {
      const town = new Town();
      const listening = town.listen();
      await town.clock.pass(1000);
      const dialling = town.failure(town.dial());
      await town.clock.pass(wait);
      town.stop.abort(new TransportError('closed', 'stopped'));
      for (const { transport } of town.calls) void transport.close();
      await town.clock.untilSettled(listening);
      await town.clock.untilSettled(dialling);
      expect(town.devices.isOpen('there'), `after ${wait} ms`).to.equal(false);
    }
  });

  it('ends the call when the device vanishes, and listens again when it is back', async () => {
    const town = new Town();
    void town.listen();
    await town.clock.pass(1000);
    const { theirs } = await town.connect();
    town.devices.pull('there');
    expect((await town.clock.untilSettled(theirs.ended, 1000))?.code).to.equal('lost');
    await town.clock.pass(5000);
    expect(town.reports.at(-1)).to.equal('no-device');
    town.there.reset();
    town.devices.plug('there', town.there);
    await town.clock.pass(3000);
    expect(town.reports.at(-1)).to.equal(null);
    await town.connect();
  });

  describe('on one device for calling and answering', () => {
    it('makes the listener step back while it is dialled on, and come back afterwards', async () => {
      const town = new Town();
      void town.listen('here');
      void town.listen('there');
      await town.clock.pass(1000);
      const { ours } = await town.connect();
      await town.clock.pass(20_000);
      expect(ours.over).to.equal(false);
      await town.clock.untilSettled(ours.transport.close());
      await town.clock.pass(3000);
      // Now the other way round: the same modem is called.
      const dialer = modemDialer(
        {
          device: 'there',
          baudRate: 115_200,
          init: null,
          flow: 'none',
          dial: '100',
          connectTimeoutMs: 30_000,
        },
        town.clock,
        town.devices,
      );
      await town.clock.untilSettled(dialer.dial(town.stop.signal));
      expect(town.calls).to.have.length(2);
    });

    it('makes dialling wait for the call that is up, and no longer than was said', async () => {
      const town = new Town();
      void town.listen('there');
      void town.listen('here');
      await town.clock.pass(1000);
      const { ours } = await town.connect();
      expect(await town.failure(town.dial())).to.equal('in-use');
      expect(ours.over).to.equal(false);
      const waiting = town.dial();
      await town.clock.pass(1000);
      await town.clock.untilSettled(ours.transport.close());
      const again = await town.clock.untilSettled(waiting);
      expect(again.type).to.equal('modem');
    });

    it('does not disturb a call that is ringing', async () => {
      const town = new Town();
      void town.listen('there');
      await town.clock.pass(1000);
      const dialling = town.dial();
      while (!town.exchange.calls.some(({ callee }) => callee === town.there)) await town.clock.pass(10);
      await town.clock.pass(100);
      const outgoing = modemDialer(
        {
          device: 'there',
          baudRate: 115_200,
          init: null,
          flow: 'none',
          dial: '100',
          connectTimeoutMs: 30_000,
        },
        town.clock,
        town.devices,
      );
      const refused = town.failure(outgoing.dial(town.stop.signal));
      expect((await town.clock.untilSettled(dialling)).type).to.equal('modem');
      expect(await refused).to.equal('in-use');
    });
  });
});
