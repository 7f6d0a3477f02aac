import { expect } from 'chai';
import type { LinkState, VolumeStatus } from '../../../src/appliance/status.js';
import { eventsPanel } from '../../../tui/view-models/events-panel.js';
import { linksPanel } from '../../../tui/view-models/links-panel.js';
import { NO_PACE, observe } from '../../../tui/view-models/pace.js';
import { primariesPanel } from '../../../tui/view-models/peers-panel.js';
import { pointsPanel } from '../../../tui/view-models/points-panel.js';
import { schedulePanel } from '../../../tui/view-models/schedule-panel.js';
import { transfersPanel } from '../../../tui/view-models/transfers-panel.js';
import { volumesPanel } from '../../../tui/view-models/volumes-panel.js';
import {
  ascii,
  backup,
  before,
  drawing,
  event,
  link,
  panelText,
  primary,
  textsOf,
  transfer,
  volume,
} from '../statuses.js';

const WIDE = drawing({ width: 120 });

describe('the panel of volumes', () => {
  it('shows a primary’s, the chosen one marked', () => {
    const status = primary({
      volumes: [
        volume(),
        volume({
          name: 'books',
          dirtyBlocks: 0,
          lastState: { id: 'abcdef0123', time: before(7200), grade: 'crash' },
        }),
        volume({ name: 'new', lastState: null, dirtyBlocks: 1 }),
      ],
    });
    expect(panelText(volumesPanel(status, 'books', WIDE))).to.deep.equal([
      '   NAME       SIZE          CHANGED  LAST SAFE STATE  GRADE        ID        NOW',
      '   ledger  512 MiB  1 204 = 4.7 MiB  3 min ago        application  609c5326  writing',
      '▸  books   512 MiB          nothing  2 h ago          crash        abcdef01  up to date',
      '   new     512 MiB        1 = 4 KiB  none yet                                never sent',
    ]);
  });

  it('cuts a long name, and goes without size and id, before it hides what matters', () => {
    const name = 'a-volume-with-a-name-as-long-as-names-may-be';
    expect(panelText(volumesPanel(primary({ volumes: [volume({ name })] }), name, drawing()))).to.deep.equal([
      '   NAME                      CHANGED  LAST SAFE STATE  GRADE        NOW',
      '▸  a-volume-with-a…  1 204 = 4.7 MiB  3 min ago        application  writing',
    ]);
  });

  it('puts a volume’s warnings under it', () => {
    const status = primary({
      volumes: [
        volume({ warnings: ['the map was lost: every block counts as changed until a compare says better'] }),
      ],
    });
    expect(panelText(volumesPanel(status, null, drawing({ width: 60 }))).slice(2)).to.deep.equal([
      '   ! the map was lost: every block counts as changed until a',
      '   ! compare says better',
    ]);
  });

  it('says so where there are none', () => {
    expect(panelText(volumesPanel(backup({ volumes: [] }), null, drawing()))).to.deep.equal([
      ' No copies yet. The first one comes with the first sync of a primary.',
    ]);
  });

  const states: readonly (readonly [string, 'primary' | 'backup', Partial<VolumeStatus>, string])[] = [
    ['nothing new', 'primary', { dirtyBlocks: 0 }, 'up to date'],
    ['writes since', 'primary', {}, 'writing'],
    ['never sent', 'primary', { lastState: null }, 'never sent'],
    ['on its way', 'primary', { transfer: transfer() }, 'sending 25 %'],
    ['just begun', 'primary', { transfer: transfer({ phase: 'encoding', fraction: 0 }) }, 'encoding'],
    ['all there', 'primary', { transfer: transfer({ phase: 'applying', fraction: 1 }) }, 'applying'],
    [
      'on its way to a backup that no line leads to',
      'primary',
      { transfer: transfer({ peer: 'attic' }) },
      'waiting',
    ],
    ['paused', 'primary', { transfer: transfer(), paused: true }, 'paused'],
    ['a copy', 'backup', {}, 'whole'],
    ['a first copy that is not whole', 'backup', { lastState: null }, 'incomplete'],
    ['a copy that gets a set', 'backup', { transfer: transfer({ peer: 'branch-12' }) }, 'receiving'],
    ['a copy that applies one', 'backup', { transfer: transfer({ phase: 'applying' }) }, 'applying'],
  ];
  for (const [situation, role, more, words] of states) {
    it(`${situation} (${role}) is "${words}"`, () => {
      const status = (role === 'primary' ? primary : backup)({ volumes: [volume(more)] });
      expect(panelText(volumesPanel(status, null, WIDE))[1]?.endsWith(`  ${words}`)).to.equal(true);
    });
  }
});

describe('the panel of transfers', () => {
  const rows = (more: Parameters<typeof transfer>[0], role = primary): readonly string[] =>
    panelText(transfersPanel(role({ volumes: [volume({ transfer: transfer(more) })] }), NO_PACE, drawing()));

  it('shows how far a set is, and for how long still', () => {
    expect(rows({})).to.deep.equal([
      ' ledger → vault   state 7eb57d13 (quiet), 7 325 blocks',
      ' sending     ██████░░░░░░░░░░░░░░░░░░░░░   25 %   3 MiB sent   4 min left',
    ]);
  });

  it('promises no end while no line leads to the backup', () => {
    expect(rows({ peer: 'attic' })[1]).to.match(/3 MiB sent {3}waits for a link$/);
    expect(rows({ peer: 'branch-13' }, backup)[1]).to.equal(' waiting     3 MiB so far');
  });

  it('does so without signs beyond ASCII', () => {
    const status = primary({ volumes: [volume({ transfer: transfer() })] });
    expect(panelText(transfersPanel(status, NO_PACE, ascii()))).to.deep.equal([
      ' ledger -> vault   state 7eb57d13 (quiet), 7 325 blocks',
      ' sending     ######.....................   25 %   3 MiB sent   4 min left',
    ]);
  });

  it('leaves out what is not known yet', () => {
    expect(
      rows({ phase: 'encoding', blocks: null, bytesHeld: 0, bytesTotal: 0, fraction: 0, secondsLeft: null }),
    ).to.deep.equal([
      ' ledger → vault   state 7eb57d13 (quiet)',
      ' encoding    ░░░░░░░░░░░░░░░░░░░░░░░░░░░    0 %',
    ]);
  });

  it('promises nothing on a backup, which does not know what is to come', () => {
    expect(rows({ peer: 'branch-12', blocks: null }, backup)).to.deep.equal([
      ' ledger   state 7eb57d13 (quiet)',
      ' receiving   3 MiB so far',
    ]);
  });

  it('tells what the last set was worth and has cost', () => {
    const lastSet = {
      peer: 'vault',
      to: { id: '7eb57d1300', time: before(20), grade: 'quiet' as const },
      blocks: 312,
      bytesWritten: 5 << 20,
      line: {
        toBackup: { data: 36_928, addresses: 3072, control: 900, repeated: 2048, handshake: 100 },
        toPrimary: { data: 0, addresses: 0, control: 500, repeated: 0, handshake: 100 },
      },
    };
    const status = primary({ volumes: [volume({ lastSet })] });
    expect(panelText(transfersPanel(status, NO_PACE, WIDE))).to.deep.equal([
      ' Nothing is travelling.',
      ' ledger → vault   last: 312 blocks, 5 MiB written, 42.6 KiB on the line',
      '   of it 36.1 KiB data, 3 KiB addresses, 1.6 KiB control, 2 KiB again',
    ]);
  });

  it('is calm when nothing travels', () => {
    expect(panelText(transfersPanel(primary(), NO_PACE, drawing()))).to.deep.equal([
      ' Nothing is travelling.',
    ]);
  });
});

describe('the panel of links', () => {
  it('shows state, peer, speeds, totals and how clean the line is', () => {
    const slow = link({ framesDamaged: 3, bytesSent: 1000, bytesReceived: 200 });
    const pace = observe(
      observe(NO_PACE, primary({ links: [slow] }), 0),
      primary({ links: [{ ...slow, bytesSent: 12_520, bytesReceived: 1224 }] }),
      1000,
    );
    expect(panelText(linksPanel(primary({ links: [slow] }), pace, WIDE))).to.deep.equal([
      ' LINK               STATE                 ↑ RATE     ↓ RATE    ↑ SENT  ↓ RECEIVED  REPEATED  DAMAGED',
      ' vault: /dev/ttyS0  connected: vault  11.3 KiB/s    1 KiB/s    1000 B       200 B         2        3',
    ]);
  });

  it('says what went wrong with a link that is down, and nothing of one that is up again', () => {
    const lastError = 'vault: the line is open, but nobody answers the handshake (is the backup running?)';
    const down = panelText(
      linksPanel(primary({ links: [link({ state: 'failed', peer: null, lastError })] }), NO_PACE, drawing()),
    );
    expect(down.slice(2)).to.deep.equal([
      '   ! vault: the line is open, but nobody answers the handshake (is the backup',
      '   ! running?)',
    ]);
    expect(
      panelText(linksPanel(primary({ links: [link({ lastError })] }), NO_PACE, drawing())),
    ).to.have.length(2);
  });

  it('shows what the line carries where that is known', () => {
    const links = [link({ bitsPerSecond: 33_600 }), link({ name: 'vault: tcp', bitsPerSecond: null })];
    const rows = panelText(linksPanel(primary({ links }), NO_PACE, WIDE));
    expect(rows[0]).to.match(/STATE +LINE +↑ RATE/);
    expect(rows[1]).to.contain('connected: vault  33 600 bit/s');
  });

  const states: readonly (readonly [LinkState, string])[] = [
    ['idle', 'idle'],
    ['opening', 'opening'],
    ['connecting', 'connecting'],
    ['waiting', 'waiting'],
    ['failed', 'failed'],
  ];
  for (const [state, words] of states) {
    it(`a link that is ${state} says so, and has no speed`, () => {
      const rows = panelText(linksPanel(primary({ links: [link({ state, peer: null })] }), NO_PACE, WIDE));
      expect(rows[1]).to.match(new RegExp(`ttyS0  ${words} +2 KiB`));
    });
  }
});

describe('the panel of primaries', () => {
  it('shows who is on a line, who is silent, and how many copies each has here', () => {
    const panel = primariesPanel(backup(), drawing());
    expect(panel === null ? [] : panelText(panel)).to.deep.equal([
      ' PRIMARY    STATE                  LAST HEARD  COPIES',
      ' branch-12  connected: /dev/ttyS0  just now         1',
      ' branch-13  not connected          never            0',
    ]);
  });

  it('says who was silent for too long', () => {
    const peers = [{ name: 'branch-12', link: null, lastHeard: before(97_200), isSilent: true }];
    const panel = primariesPanel(backup({ peers }), drawing());
    expect(panel === null ? [] : panelText(panel)).to.deep.equal([
      ' PRIMARY    STATE   LAST HEARD   COPIES',
      ' branch-12  silent  1 d 3 h ago       1',
    ]);
    expect(panel?.rows[0]?.filter(({ tone }) => tone === 'bad').length).to.equal(2);
  });

  it('is not there on a primary', () => expect(primariesPanel(primary(), drawing())).to.equal(null));
});

describe('the panel of restore points', () => {
  const point = (id: string, seconds: number, note?: string): Parameters<typeof pointsPanel>[1] => [
    {
      id,
      primary: 'branch-12',
      volume: 'ledger',
      time: before(seconds),
      grade: 'application',
      sizeBytes: 1 << 20,
      blocks: 12_345,
      appliedAt: before(seconds - 5),
      ...(note !== undefined && { note }),
    },
  ];

  it('lists them with time, age, grade, blocks and note', () => {
    const points = [
      ...(point('aaaabbbbcccc', 60, 'end of \u001b[2Jday') ?? []),
      ...(point('ddddeeeeffff', 90_000) ?? []),
    ];
    const panel = pointsPanel('branch-12/ledger', points, drawing());
    expect(panel === null ? [] : panelText(panel)).to.deep.equal([
      ' ID        TIME              AGE          GRADE        BLOCKS  NOTE',
      ' aaaabbbb  2026-11-22 14:35  1 min ago    application  12 345  end of ?[2Jday',
      ' ddddeeee  2026-11-21 13:36  1 d 1 h ago  application  12 345',
    ]);
    expect(panel?.note).to.equal('2');
  });

  it('tells where there is room what each has cost', () => {
    const line = {
      toBackup: { data: 19_456, addresses: 1024, control: 900, repeated: 0, handshake: 100 },
      toPrimary: { data: 0, control: 500, repeated: 0, handshake: 100 },
    };
    const [plainPoint] = point('ddddeeeeffff', 90_000) ?? [];
    const points = [
      { ...plainPoint!, bytesWritten: 5 << 20, line: { byPrimary: null, byBackup: line } },
      plainPoint!,
    ];
    const panel = pointsPanel('branch-12/ledger', points, drawing({ width: 120 }));
    expect(panel === null ? [] : panelText(panel)).to.deep.equal([
      ' ID        TIME              AGE          GRADE        BLOCKS  WRITTEN  ON THE LINE  ADDRESSES  NOTE',
      ' ddddeeee  2026-11-21 13:36  1 d 1 h ago  application  12 345    5 MiB     21.6 KiB      1 KiB',
      ' ddddeeee  2026-11-21 13:36  1 d 1 h ago  application  12 345',
    ]);
  });

  it('is not there while they are not known', () => {
    expect(pointsPanel('branch-12/ledger', null, drawing())).to.equal(null);
  });
});

describe('the panel of the schedule', () => {
  it('shows when each volume is due, and how its last run ended', () => {
    const schedule = {
      cron: '0 * * * *',
      nextRun: before(-1411),
      lastRun: before(2189),
      lastOutcome: 'applied',
    };
    const status = primary({
      volumes: [
        volume({ schedule }),
        volume({ name: 'books', schedule: { cron: '0 3 * * *', nextRun: before(-50_000), lastRun: null } }),
        volume({ name: 'by hand', schedule: null }),
      ],
    });
    const panel = schedulePanel(status, drawing());
    expect(panel === null ? [] : panelText(panel)).to.deep.equal([
      ' VOLUME  SCHEDULE   NEXT RUN                     LAST RUN',
      ' ledger  0 * * * *  15:00:00, in 23 min          36 min ago: applied',
      ' books   0 3 * * *  11-23 04:29, in 13 h 53 min  not yet',
    ]);
  });

  it('shows when a backup calls its primaries', () => {
    const poll = { cron: '0 1 * * *', nextRun: before(-37_411), lastRun: null };
    const panel = schedulePanel(
      backup({ peers: [{ name: 'branch-12', link: null, lastHeard: null, poll }] }),
      drawing(),
    );
    expect(panel === null ? [] : panelText(panel)).to.deep.equal([
      ' CALL TO    SCHEDULE   NEXT RUN                     LAST RUN',
      ' branch-12  0 1 * * *  11-23 01:00, in 10 h 23 min  not yet',
    ]);
  });

  it('is not there where nothing is scheduled', () =>
    expect(schedulePanel(primary(), drawing())).to.equal(null));
});

describe('the panel of events', () => {
  it('marks trouble by a sign, dates what is old, and goes on under itself', () => {
    const status = primary({
      events: [
        event('started', 'info', before(90_000)),
        event('no call to vault: the line is open, but nobody answers the handshake', 'warning'),
        event('the store is full', 'error'),
      ],
    });
    expect(panelText(eventsPanel(status, 0, drawing({ width: 60 })))).to.deep.equal([
      ' 11-21 13:36   started',
      ' 14:35:29    ! no call to vault: the line is open, but',
      '               nobody answers the handshake',
      ' 14:35:29    X the store is full',
    ]);
  });

  it('can be scrolled back, and says so', () => {
    const panel = eventsPanel(primary({ events: [event('first'), event('second')] }), 1, drawing());
    expect(textsOf(panel.rows)).to.deep.equal([' 14:35:29      first']);
    expect(panel.note).to.equal('1 newer');
  });
});
