import { expect } from 'chai';
import fc from 'fast-check';
import { columns, type Column } from '../../../tui/view-models/columns.js';
import { UNICODE_GLYPHS } from '../../../tui/view-models/glyphs.js';
import { widthOf } from '../../../tui/view-models/row.js';
import { seedOf } from '../seed.js';
import { textsOf } from '../statuses.js';

const COLUMNS: readonly Column[] = [
  { heading: 'NAME', least: 6 },
  { heading: 'SIZE', align: 'right', leaveOut: 1 },
  { heading: 'NOTE', least: 4, leaveOut: 2 },
];
const ROWS = [['a-long-name', '64 MiB', 'first copy'].map((text) => ({ text }))];

const shown = (width: number): readonly string[] => {
  const { head, rows } = columns(COLUMNS, ROWS, width, UNICODE_GLYPHS);
  return textsOf([head, ...rows]);
};

describe('columns', () => {
  it('are as wide as their content where there is room', () => {
    expect(shown(80)).to.deep.equal(['NAME           SIZE  NOTE', 'a-long-name  64 MiB  first copy']);
  });

  it('shrink, the widest first, down to what they need', () => {
    expect(shown(24)).to.deep.equal(['NAME       SIZE  NOTE', 'a-long…  64 MiB  first…']);
  });

  it('go, the expendable first, when nothing is left to shrink', () => {
    expect(shown(19)).to.deep.equal(['NAME           SIZE', 'a-long-name  64 MiB']);
    expect(shown(12)).to.deep.equal(['NAME', 'a-long-name']);
  });

  it('do not jump with the content where a usual width is given', () => {
    const all = [{ heading: 'RATE', align: 'right', usual: 9 } as const, { heading: 'X' }];
    const { rows } = columns(all, [[{ text: '0 B/s' }, { text: 'x' }]], 80, UNICODE_GLYPHS);
    expect(textsOf(rows)).to.deep.equal(['    0 B/s  x']);
  });

  it('are never wider than the screen while they can shrink', () => {
    const text = fc.record({ text: fc.string({ maxLength: 60 }) });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(text, text, text), { maxLength: 5 }),
        fc.integer({ min: 8, max: 90 }),
        (rows, width) => {
          const table = columns(COLUMNS, rows, width, UNICODE_GLYPHS);
          for (const row of [table.head, ...table.rows]) expect(widthOf(row)).to.be.at.most(width);
        },
      ),
      seedOf('columns'),
    );
  });
});
