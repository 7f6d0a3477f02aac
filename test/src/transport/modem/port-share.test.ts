import { expect } from 'chai';
import { PortShare } from '../../../../src/transport/modem/port-share.js';
import { VirtualClock } from '../../../support/virtual-clock.js';

const never = new AbortController().signal;

describe('the share of a modem', () => {
  it('is one user at a time, in the order they asked', async () => {
    const share = new PortShare();
    const order: string[] = [];
    const use = async (name: string): Promise<void> => {
      const release = await share.take(never);
      order.push(`${name} in`);
      await Promise.resolve();
      order.push(`${name} out`);
      release();
      release();
    };
    await Promise.all([use('a'), use('b'), use('c')]);
    expect(order).to.deep.equal(['a in', 'a out', 'b in', 'b out', 'c in', 'c out']);
    expect(share.wanted).to.equal(false);
  });

  it('tells the user that another wants it', async () => {
    const share = new PortShare();
    const release = await share.take(never);
    let told = 0;
    const forget = share.onWanted(() => told++);
    const next = share.take(never);
    expect([told, share.wanted]).to.deep.equal([1, true]);
    forget();
    release();
    (await next)();
    expect(share.wanted).to.equal(false);
  });

  it('forgets who has stopped waiting, and fails with the reason', async () => {
    const share = new PortShare();
    const release = await share.take(never);
    const stop = new AbortController();
    const waiting = share.take(stop.signal).then(
      () => 'taken',
      (error: unknown) => (error as Error).message,
    );
    stop.abort(new Error('enough'));
    expect(await waiting).to.equal('enough');
    expect(share.wanted).to.equal(false);
    release();
    (await share.take(never))();
  });

  it('is not waited for longer than was said', async () => {
    const share = new PortShare();
    const clock = new VirtualClock();
    await share.take(never);
    const waiting = share.takeWithin(clock, 5000, '/dev/m', never);
    const failed = clock.untilSettled(waiting).then(
      () => undefined,
      (error: unknown) => (error as { code: string }).code,
    );
    expect(await failed).to.equal('in-use');
    expect(clock.now()).to.be.at.least(5000);
    expect([share.wanted, clock.waiting]).to.deep.equal([false, 0]);
  });
});
