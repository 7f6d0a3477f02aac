import { expect } from 'chai';
import { millis } from '../../../protocol/units.js';
import {
  chooseLinks,
  isInWindow,
  type LinkPosition,
  type LinkTraits,
  type Situation,
} from '../../../src/appliance/link-choice.js';

const NOW = 1_000_000;
const PATIENCE = 10_000;
const NIGHT = { startMinute: 22 * 60, endMinute: 6 * 60 };

const line: LinkTraits = { onDemand: false, window: null };
const modem: LinkTraits = { onDemand: true, window: null };
const nightModem: LinkTraits = { onDemand: true, window: NIGHT };

const down: LinkPosition = { kind: 'down', retryAt: millis(NOW) };
const resting: LinkPosition = { kind: 'down', retryAt: millis(NOW + 700) };
const dialling: LinkPosition = { kind: 'dialling' };
const calling = (ago: number): LinkPosition => ({
  kind: 'calling',
  since: millis(NOW - ago),
  patience: PATIENCE,
});
const up = (heardAgo = 0): LinkPosition => ({
  kind: 'up',
  heardAt: millis(NOW - heardAgo),
  patience: PATIENCE,
});

type Link = readonly [LinkTraits, LinkPosition];
type Row = readonly [string, readonly Link[], Partial<Situation>, number | null, readonly string[]];

const WORK = { work: true } as const;
const IDLE = { work: false, idleSince: millis(NOW - 60_000) } as const;
const JUST_DONE = { work: false, idleSince: millis(NOW - 1000) } as const;
const CALLED = { calledBy: { heardAt: millis(NOW), patience: PATIENCE } } as const;
const CALLED_SILENT = { calledBy: { heardAt: millis(NOW - 11_000), patience: PATIENCE } } as const;
const NOON = { minute: 12 * 60 } as const;

/** What is there; what is dialled, and what is dropped and why. */
const TABLE: readonly Row[] = [
  ['a line is kept up without work', [[line, down]], IDLE, 0, []],
  [
    'the first that may be tried is dialled',
    [
      [line, resting],
      [line, down],
    ],
    WORK,
    1,
    [],
  ],
  ['one that rests is waited for', [[line, resting]], WORK, null, []],
  [
    'one attempt at a time',
    [
      [line, dialling],
      [line, down],
    ],
    WORK,
    null,
    [],
  ],
  [
    'a handshake gets its time',
    [
      [line, calling(5000)],
      [line, down],
    ],
    WORK,
    null,
    [],
  ],
  [
    'a silent handshake holds up no other',
    [
      [line, calling(11_000)],
      [line, down],
    ],
    WORK,
    1,
    [],
  ],
  ['a modem is not dialled without work', [[modem, down]], IDLE, null, []],
  ['a modem is dialled for work', [[modem, down]], WORK, 0, []],
  [
    'a modem is not dialled outside its window',
    [
      [nightModem, down],
      [line, down],
    ],
    { ...WORK, ...NOON },
    1,
    [],
  ],
  ['a modem is dialled inside its window', [[nightModem, down]], WORK, 0, []],
  ['an idle modem is kept for a moment', [[modem, up()]], JUST_DONE, null, []],
  ['an idle modem is hung up', [[modem, up()]], IDLE, null, ['0 idle']],
  ['dialling for nothing is called off', [[modem, dialling]], IDLE, null, ['0 idle']],
  ['a call is ended with its window', [[nightModem, up()]], { ...WORK, ...NOON }, null, ['0 window']],
  ['an idle line is left alone', [[line, up()]], IDLE, null, []],
  [
    'a better one is tried beside a worse',
    [
      [line, down],
      [line, up()],
    ],
    WORK,
    0,
    [],
  ],
  [
    'a better one is tried also without work',
    [
      [line, down],
      [line, up()],
    ],
    IDLE,
    0,
    [],
  ],
  [
    'a worse one is not tried beside a better',
    [
      [line, up()],
      [line, down],
    ],
    WORK,
    null,
    [],
  ],
  [
    'an attempt on a worse one ends when a better is up',
    [
      [line, up()],
      [line, dialling],
    ],
    WORK,
    null,
    ['1 better'],
  ],
  [
    'an attempt on a better one goes on',
    [
      [line, calling(20_000)],
      [line, up()],
    ],
    WORK,
    null,
    [],
  ],
  [
    'a worse session ends by itself when the better has begun',
    [
      [line, up()],
      [line, up()],
    ],
    WORK,
    null,
    [],
  ],
  [
    'a silent line is left when there is another',
    [
      [line, up(10_000)],
      [line, down],
    ],
    WORK,
    1,
    [],
  ],
  ['a silent line is kept when there is none', [[line, up(60_000)]], WORK, null, []],
  [
    'a silent line is kept when the other rests',
    [
      [line, up(60_000)],
      [line, resting],
    ],
    WORK,
    null,
    [],
  ],
  [
    'silence without work means nothing',
    [
      [line, up(60_000)],
      [line, down],
    ],
    IDLE,
    null,
    [],
  ],
  [
    'the way out of a silent line goes on',
    [
      [line, up(12_000)],
      [line, calling(1000)],
    ],
    WORK,
    null,
    [],
  ],
  ['nobody dials while the peer has called', [[line, down]], { ...WORK, ...CALLED }, null, []],
  [
    'an attempt ends when the peer has called',
    [[line, dialling]],
    { ...WORK, ...CALLED },
    null,
    ['0 better'],
  ],
  ['a silent call of the peer is left', [[line, down]], { ...WORK, ...CALLED_SILENT }, 0, []],
];

describe('the choice of link', () => {
  for (const [what, links, more, dial, drop] of TABLE) {
    it(what, () => {
      const choice = chooseLinks({
        now: millis(NOW),
        minute: 23 * 60,
        work: false,
        idleSince: millis(0),
        calledBy: null,
        links: links.map(([traits, position]) => ({ ...traits, position })),
        ...more,
      });
      expect(choice.dial).to.equal(dial);
      expect(choice.drop.map(({ link, because }) => `${link} ${because}`)).to.deep.equal(drop);
      if (choice.lookAt !== null) expect(choice.lookAt).to.be.greaterThan(NOW);
    });
  }

  it('is looked at again when a rest, a handshake or a silence ends', () => {
    const look = (link: Link, work: boolean): number | null =>
      chooseLinks({
        now: millis(NOW),
        minute: 0,
        work,
        idleSince: millis(NOW),
        calledBy: null,
        links: [{ ...link[0], position: link[1] }],
      }).lookAt;
    expect(look([line, resting], true)).to.equal(NOW + 700);
    expect(look([line, calling(4000)], true)).to.equal(NOW + 6000);
    expect(look([line, up(4000)], true)).to.equal(NOW + 6000);
    expect(look([line, up()], false)).to.equal(NOW + 5000);
  });

  it('knows a window that runs over midnight', () => {
    const inside = [22 * 60, 23 * 60 + 59, 0, 6 * 60 - 1];
    const outside = [6 * 60, 12 * 60, 22 * 60 - 1];
    expect(inside.map((minute) => isInWindow(NIGHT, minute))).to.not.include(false);
    expect(outside.map((minute) => isInWindow(NIGHT, minute))).to.not.include(true);
    expect(isInWindow({ startMinute: 60, endMinute: 120 }, 120)).to.equal(false);
  });
});
