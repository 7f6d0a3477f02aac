import { expect } from 'chai';
import { NullModem } from '../../../src/transport/null-modem.js';
import { Pace } from '../../../src/transport/pace.js';
import type { Transport } from '../../../src/transport/transport.js';
import { Seeded } from '../../support/seeded.js';
import { settle, VirtualClock } from '../../support/virtual-clock.js';
import { frameOf, Watched } from './watched.js';

const BAUD = 9600;

async function joined(clock: VirtualClock): Promise<{
  readonly modem: NullModem;
  readonly caller: Watched;
  readonly answerers: Watched[];
  readonly hangUp: () => Promise<void>;
}> {
  const modem = new NullModem(clock, BAUD);
  const answerers: Watched[] = [];
  const over = new AbortController();
  const onCall = async (transport: Transport): Promise<void> => {
    const watched = new Watched(transport);
    answerers.push(watched);
    await watched.ended;
  };
  const listening = modem.listener.listen(onCall, () => undefined, over.signal);
  const caller = new Watched(await modem.dialer.dial(new AbortController().signal));
  const hangUp = async (): Promise<void> => {
    over.abort();
    modem.cut();
    await listening;
  };
  return { modem, caller, answerers, hangUp };
}

describe('the null modem', () => {
  it('carries frames both ways, in order, no faster than its line', async () => {
    const clock = new VirtualClock();
    const modem = new NullModem(clock, BAUD);
    const ends: Watched[] = [];
    const over = new AbortController();
    const listening = modem.listener.listen(
      (transport) => {
        ends.push(new Watched(transport));
        return new Promise((resolve) => over.signal.addEventListener('abort', () => resolve()));
      },
      () => undefined,
      over.signal,
    );
    await settle();
    const left = new Watched(await modem.dialer.dial(over.signal));
    const right = ends[0]!;
    const seeded = new Seeded(1);
    const frames = Array.from({ length: 40 }, () => frameOf(seeded.bytes(1 + seeded.below(300))));
    const bytes = frames.reduce((sum, frame) => sum + frame.length, 0);
    for (const frame of frames) {
      await clock.until('there is room', () => left.transport.ready);
      left.transport.send(frame);
      if (right.transport.ready) right.transport.send(frameOf(Buffer.of(7)));
    }
    await clock.until('all are there', () => right.frames.length === frames.length);
    // The last bit cannot be there before all bits have crossed, ten for each byte.
    expect(clock.now()).to.be.at.least((bytes * 10_000) / BAUD - 0.001);
    expect(clock.now()).to.be.at.most((bytes * 10_000) / BAUD + 1);
    expect(Buffer.concat(right.frames.map((frame) => frameOf(frame)))).to.deep.equal(Buffer.concat(frames));
    expect(right.transport.bytesReceived).to.equal(bytes);
    expect(left.transport.bytesSent).to.equal(bytes);
    expect(left.frames.length).to.be.greaterThan(0);
    over.abort();
    await listening;
  });

  it('loses what is on the wire when the cable is pulled, tells both ends once, and opens again', async () => {
    const clock = new VirtualClock();
    const { modem, caller, answerers, hangUp } = await joined(clock);
    await settle();
    caller.transport.send(frameOf(Buffer.alloc(960, 5)));
    await clock.pass(300);
    modem.cut();
    modem.cut();
    expect(caller.closings.map((error) => error?.code)).to.deep.equal(['lost']);
    expect(answerers[0]?.closings.map((error) => error?.code)).to.deep.equal(['lost']);
    expect(caller.transport.ready).to.equal(false);
    await clock.pass(3000);
    expect(answerers[0]?.frames).to.be.empty;
    await modem.dialer.dial(new AbortController().signal).then(
      () => expect.fail('a cable that is not plugged in'),
      (error: unknown) => expect(error).to.include({ code: 'no-device' }),
    );
    modem.restore();
    await clock.pass(1000);
    const again = new Watched(await modem.dialer.dial(new AbortController().signal));
    again.transport.send(frameOf(Buffer.of(1, 2)));
    await clock.until('it is there', () => answerers.at(-1)?.frames.length === 1);
    expect(answerers.length).to.be.greaterThan(1);
    await hangUp();
  });
});

describe('the pace of a line', () => {
  it('has room for one frame ahead, and says once when there is room again', () => {
    const clock = new VirtualClock();
    let readies = 0;
    const pace = new Pace(clock, 1000, () => readies++);
    expect(pace.ready).to.equal(true);
    pace.spend(500);
    expect(pace.ready).to.equal(false);
    return clock.pass(400).then(async () => {
      expect([pace.ready, readies]).to.deep.equal([false, 0]);
      await clock.pass(100);
      expect([pace.ready, readies]).to.deep.equal([true, 1]);
      await clock.pass(10_000);
      expect(readies).to.equal(1);
    });
  });

  it('still says so when its timer fires early', async () => {
    // A timer of Node may fire up to a millisecond before its time; the line then stood still.
    const clock = new VirtualClock();
    const hasty = {
      now: () => clock.now(),
      wall: () => clock.wall(),
      after: (delay: number, fire: () => void) => clock.after(Math.max(0.01, delay - 0.9), fire),
    };
    let readies = 0;
    const pace = new Pace(hasty, 1000, () => readies++);
    for (const bytes of [100, 333, 777]) {
      pace.spend(bytes);
      await clock.pass(2000);
      expect(pace.ready).to.equal(true);
    }
    expect(readies).to.equal(3);
  });

  it('leaves no timer once it is stopped', () => {
    const clock = new VirtualClock();
    const pace = new Pace(clock, 1000, () => expect.fail('stopped'));
    pace.spend(5000);
    expect(clock.waiting).to.equal(1);
    pace.stop();
    expect(clock.waiting).to.equal(0);
  });
});
