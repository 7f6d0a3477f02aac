import { expect } from 'chai';
import fc from 'fast-check';
import { cut, fit, plain, wrap } from '../../../tui/view-models/cell.js';
import { ASCII_GLYPHS, UNICODE_GLYPHS } from '../../../tui/view-models/glyphs.js';
import { seedOf } from '../seed.js';

describe('text in cells', () => {
  it('nothing in a name steers the terminal or takes a cell too many', () => {
    expect(plain('a\u001b[31mb\nc\u0000')).to.equal('a?[31mb?c?');
    expect(plain('帳簿')).to.equal('??');
    expect(plain('e\u0301 \u200b \u202e')).to.equal('e? ? ?');
    expect(plain('😀 Größe Журнал')).to.equal('? Größe Журнал');
  });

  it('a long text is cut and shows it', () => {
    expect(cut('ledger', 6, UNICODE_GLYPHS)).to.equal('ledger');
    expect(cut('ledgers', 6, UNICODE_GLYPHS)).to.equal('ledge…');
    expect(cut('ledgers', 6, ASCII_GLYPHS)).to.equal('ledge~');
    expect(cut('ledgers', 0, UNICODE_GLYPHS)).to.equal('');
    expect(fit('12', 5, 'right', UNICODE_GLYPHS)).to.equal('   12');
  });

  it('lines break at spaces, and in a word that is too long', () => {
    expect(wrap('the backup hung up', 10, 9, ASCII_GLYPHS)).to.deep.equal(['the backup', 'hung up']);
    expect(wrap('/dev/serial/by-id/usb-0001', 10, 9, ASCII_GLYPHS)).to.deep.equal([
      '/dev/seria',
      'l/by-id/us',
      'b-0001',
    ]);
    expect(wrap('one two three four', 5, 2, ASCII_GLYPHS)).to.deep.equal(['one', 'two~']);
  });

  it('no line is wider than it may be, whatever the text', () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.integer({ min: 1, max: 30 }),
        fc.integer({ min: 1, max: 5 }),
        (text, width, most) => {
          const lines = wrap(plain(text), width, most, UNICODE_GLYPHS);
          expect(lines.length).to.be.within(1, most);
          for (const line of lines) expect(line.length).to.be.at.most(width);
        },
      ),
      seedOf('cells'),
    );
  });
});
