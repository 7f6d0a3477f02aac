import { expect } from 'chai';
import fc from 'fast-check';
import type { ApplianceStatus } from '../../../src/appliance/status.js';
import { ASCII_GLYPHS } from '../../../tui/view-models/glyphs.js';
import { picture } from '../../../tui/view-models/picture.js';
import { widthOf } from '../../../tui/view-models/row.js';
import type { ScreenState } from '../../../tui/view-models/screen-state.js';
import { seedOf } from '../seed.js';
import {
  ascii,
  backup,
  before,
  drawing,
  event,
  link,
  primary,
  screenState,
  textsOf,
  transfer,
  volume,
} from '../statuses.js';

const screen = (state: ScreenState, height = 24, width = 80): readonly string[] =>
  textsOf(picture(state, drawing({ width }), height));

const BUSY = primary({
  volumes: [
    volume({ transfer: transfer() }),
    volume({ name: 'books', dirtyBlocks: 0, warnings: ['no room'] }),
  ],
});

describe('the whole screen', () => {
  it('of a primary that sends', () => {
    expect(screen(screenState(BUSY))).to.deep.equal([
      ' farcopy · primary branch-12                                2026-11-22 14:36:29',
      '── Volumes ─────────────────────────────────────────────────────────────────────',
      '   NAME       SIZE          CHANGED  LAST SAFE STATE  GRADE        NOW',
      '▸  ledger  512 MiB  1 204 = 4.7 MiB  3 min ago        application  sending 25 %',
      '   books   512 MiB          nothing  3 min ago        application  up to date',
      '   ! no room',
      '── Transfer ────────────────────────────────────────────────────────────────────',
      ' ledger → vault   state 7eb57d13 (quiet), 7 325 blocks',
      ' sending     ██████░░░░░░░░░░░░░░░░░░░░░   25 %   3 MiB sent   4 min left',
      '── Links ───────────────────────────────────────────────────────────────────────',
      ' LINK               STATE                ↑ RATE     ↓ RATE  REPEATED  DAMAGED',
      ' vault: /dev/ttyS0  connected: vault                               2        0',
      '── Events ──────────────────────────────────────────────────────────────────────',
      ' 14:35:29      connected to vault over /dev/ttyS0 (farcopy 0.1)',
      ...Array.from({ length: 9 }, () => ''),
      ' s sync  n snapshot  c compare  p pause  h hang up  r refresh  ? help  q quit',
    ]);
  });

  it('of a backup with restore points', () => {
    const points = [1, 2, 3].map((hours) => ({
      id: `${hours}`.repeat(12),
      primary: 'branch-12',
      volume: 'ledger',
      time: before(hours * 3600),
      grade: 'quiet' as const,
      sizeBytes: 1,
      blocks: 10 * hours,
      appliedAt: before(hours * 3600),
    }));
    expect(screen(screenState(backup(), { points, owner: false }))).to.deep.equal([
      ' farcopy · backup vault · attached                          2026-11-22 14:36:29',
      '── Copies ──────────────────────────────────────────────────────────────────────',
      '   NAME                 SIZE  LAST SAFE STATE  GRADE        NOW',
      '▸  branch-12/ledger  512 MiB  3 min ago        application  whole',
      '── Transfer ────────────────────────────────────────────────────────────────────',
      ' Nothing is travelling.',
      '── Restore points of branch-12/ledger ───────────────────────────────────── 3 ──',
      ' ID        TIME              AGE      GRADE  BLOCKS  NOTE',
      ' 11111111  2026-11-22 13:36  1 h ago  quiet      10',
      ' 22222222  2026-11-22 12:36  2 h ago  quiet      20',
      ' 33333333  2026-11-22 11:36  3 h ago  quiet      30',
      '── Primaries ───────────────────────────────────────────────────────────────────',
      ' PRIMARY    STATE                  LAST HEARD  COPIES',
      ' branch-12  connected: /dev/ttyS0  just now         1',
      ' branch-13  not connected          never            0',
      '── Links ───────────────────────────────────────────────────────────────────────',
      ' LINK        STATE                    ↑ RATE     ↓ RATE  REPEATED  DAMAGED',
      ' /dev/ttyS0  connected: branch-12                               2        0',
      '── Events ──────────────────────────────────────────────────────────────────────',
      ' 14:35:29      branch-12 has called over /dev/ttyS0 (farcopy 0.1)',
      '',
      '',
      '',
      ' h hang up  r refresh  ? help  q quit',
    ]);
  });

  it('before the appliance has said anything', () => {
    expect(
      screen(screenState(null), 5)
        .map((line) => line.trim())
        .slice(1, 4),
    ).to.deep.equal(['', 'Asking the appliance …', '']);
  });

  it('says above the keys what a key has brought about, in as many lines as it needs', () => {
    const message = {
      text: 'sync of ledger: vault cannot be reached (state 609c5326 is kept, and sent as soon as vault answers)',
      tone: 'bad' as const,
    };
    expect(screen(screenState(BUSY, { message })).slice(-3)).to.deep.equal([
      ' sync of ledger: vault cannot be reached (state 609c5326 is kept, and sent as',
      ' soon as vault answers)',
      ' s sync  n snapshot  c compare  p pause  h hang up  r refresh  ? help  q quit',
    ]);
  });

  it('says that what it shows is old, and since when', () => {
    const stale = screenState(BUSY, { stale: 'no appliance is running; trying again.' });
    expect(screen(stale).at(-2)).to.equal(' no appliance is running; trying again. Shown: as of 14:36:29.');
  });

  it('keeps the chosen one of many volumes in sight', () => {
    const volumes = Array.from({ length: 60 }, (_, at) => volume({ name: `volume-${at}` }));
    for (const chosen of ['volume-0', 'volume-30', 'volume-59']) {
      const lines = screen(screenState(primary({ volumes }), { chosen }));
      expect(lines.find((line) => line.startsWith('▸'))).to.match(new RegExp(`${chosen} `));
      expect(lines[1]).to.match(/5 of 60 lines ──$/);
      expect(lines.some((line) => line.includes('Events'))).to.equal(true);
    }
  });

  it('shows the newest events when there are many', () => {
    const events = Array.from({ length: 100 }, (_, at) => event(`event ${at}`));
    expect(screen(screenState(primary({ events }))).at(-2)).to.match(/event 99$/);
    expect(screen(screenState(primary({ events }), { eventsBack: 5 })).at(-2)).to.match(/event 94$/);
  });

  it('keeps help and quit among the keys of a narrow terminal', () => {
    expect(screen(screenState(BUSY), 24, 30).at(-1)).to.equal(' s sync  ? help  q quit');
    expect(screen(screenState(BUSY), 24, 18).at(-1)).to.equal(' ? help  q quit');
  });

  it('uses nothing but ASCII where the terminal has nothing else', () => {
    const text = textsOf(picture(screenState(BUSY), ascii(), 24)).join('\n');
    expect(ASCII_GLYPHS.rule).to.equal('-');
    expect(text).to.match(/^[\x20-\x7e\n]*$/);
  });

  it('fits every size, whatever names, errors and numbers are in it', () => {
    const name = fc.string({ minLength: 1, maxLength: 80 });
    const status = fc.record({
      names: fc.array(name, { maxLength: 8 }),
      errors: fc.array(name, { maxLength: 4 }),
      blocks: fc.maxSafeNat(),
    });
    fc.assert(
      fc.property(
        status,
        fc.integer({ min: 1, max: 200 }),
        fc.integer({ min: 1, max: 60 }),
        fc.boolean(),
        (it, width, height, isPrimary) => {
          const volumes = it.names.map((text) =>
            volume({
              name: text,
              dirtyBlocks: it.blocks,
              transfer: transfer({ peer: text, blocks: it.blocks }),
              warnings: it.errors,
            }),
          );
          const links = it.errors.map((text) => link({ name: text, state: 'failed', lastError: text }));
          const shown: ApplianceStatus = (isPrimary ? primary : backup)({
            volumes,
            links,
            events: it.errors.map((text) => event(text)),
          });
          const rows = picture(
            screenState(shown, { message: { text: it.names.join(), tone: 'bad' } }),
            drawing({ width }),
            height,
          );
          expect(rows.length).to.be.at.most(height);
          for (const row of rows) expect(widthOf(row)).to.be.at.most(width);
        },
      ),
      seedOf('picture'),
    );
  });
});
