import { expect } from 'chai';
import { ago, blocksText, Calendar, rateText, span, until } from '../../../tui/view-models/quantities.js';
import { NOW } from '../statuses.js';

const MIN = 60_000;
const HOUR = 60 * MIN;
const DAY = 24 * HOUR;

describe('quantities on the screen', () => {
  const ages: readonly (readonly [number, string])[] = [
    [-3_600_000, 'in the future'],
    [-400, 'just now'],
    [0, 'just now'],
    [4_999, 'just now'],
    [5_000, '5 s ago'],
    [59_999, '59 s ago'],
    [MIN, '1 min ago'],
    [59 * MIN, '59 min ago'],
    [HOUR, '1 h ago'],
    [HOUR + 5 * MIN, '1 h 5 min ago'],
    [DAY, '1 d ago'],
    [3 * DAY + 4 * HOUR + 59 * MIN, '3 d 4 h ago'],
    [40 * DAY + 4 * HOUR, '40 d ago'],
  ];
  for (const [ms, text] of ages) {
    it(`an age of ${ms} ms is "${text}"`, () => expect(ago(ms)).to.equal(text));
  }

  it('what is to come says when', () => {
    expect(until(400)).to.equal('now');
    expect(until(24 * MIN + 3000)).to.equal('in 24 min');
    expect(span(2 * HOUR)).to.equal('2 h');
  });

  it('speeds and blocks are for people', () => {
    expect(rateText(null)).to.equal('');
    expect(rateText(0)).to.equal('0 B/s');
    expect(rateText(11_520.4)).to.equal('11.3 KiB/s');
    expect(blocksText(1)).to.equal('1 block');
    expect(blocksText(1_234_567)).to.equal('1 234 567 blocks');
  });

  it('a moment is as long as it has to be', () => {
    const calendar = new Calendar('UTC');
    expect(calendar.moment(NOW - 5000, NOW)).to.equal('14:36:24');
    expect(calendar.moment(NOW - DAY, NOW)).to.equal('11-21 14:36');
    expect(calendar.moment(NOW - 400 * DAY, NOW)).to.equal('2025-10-18');
    expect(calendar.full(NOW)).to.equal('2026-11-22 14:36');
  });

  it('a time that is none is shown as none', () => {
    const calendar = new Calendar('UTC');
    expect(calendar.moment(NaN, NOW)).to.equal('-');
    expect(calendar.full(NaN)).to.equal('-');
    expect(calendar.time(NaN)).to.equal('--:--:--');
  });

  it('days begin where the operator is', () => {
    const calendar = new Calendar('Asia/Tokyo');
    expect(calendar.moment(Date.parse('2026-11-22T14:59:00Z'), Date.parse('2026-11-22T15:01:00Z'))).to.equal(
      '11-22 23:59',
    );
  });
});
