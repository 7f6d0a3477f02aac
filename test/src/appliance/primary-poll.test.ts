import { expect } from 'chai';
import type { BackupSite, PrimarySession } from '../../../src/appliance/backup-site.js';
import { PrimaryPoll } from '../../../src/appliance/primary-poll.js';
import { silentLog } from '../../../src/platform/log.js';
import type { Dialer } from '../../../src/transport/transport.js';
import { Cable } from './cable.js';

const MINUTE = 60_000;

describe('a poll', () => {
  it('hangs up when the primary has said nothing for a quarter of an hour, unless a compare is under way', async () => {
    const cable = new Cable();
    const { clock } = cable;
    const closed: string[] = [];
    const link = { close: (why: string) => closed.push(why), lastHeardAt: null };
    const found = { isIncoming: false, busyAt: clock.now(), link, session: { isComparing: false } };
    let isUp = false;
    const session = (): PrimarySession | null => (isUp ? (found as unknown as PrimarySession) : null);
    const dialer: Dialer = { name: 'modem', type: 'modem', dial: () => new Promise(() => undefined) };
    const plain = { onDemand: true, window: null, budget: null, costPerMinute: null, floor: null };
    const poll = new PrimaryPoll({
      primary: 'branch',
      publicKey: cable.keys.primary.publicKey,
      links: [{ ...plain, dialer }],
      turns: [],
      site: { session } as unknown as BackupSite,
      clock,
      log: silentLog,
      events: cable.events,
    });
    const stop = new AbortController();
    const run = poll.run(stop.signal).catch(() => 'stopped');
    await clock.pass(1000);
    isUp = true;
    found.busyAt = clock.now();
    await clock.pass(14 * MINUTE);
    expect(closed).to.deep.equal([]);
    found.session.isComparing = true;
    await clock.pass(5 * 60 * MINUTE);
    expect(closed).to.deep.equal([]);
    // What the primary says at its end counts.
    found.session.isComparing = false;
    found.busyAt = clock.now();
    await clock.pass(14 * MINUTE);
    expect(closed).to.deep.equal([]);
    await clock.pass(2 * MINUTE);
    expect(closed[0]).to.equal('done');
    closed.length = 0;
    found.session.isComparing = true;
    await clock.pass(25 * 60 * MINUTE);
    expect(closed[0]).to.equal('done');
    stop.abort();
    await clock.pass(1000);
    expect(await run).to.equal('stopped');
    await poll.close();
  });
});
