import { expect } from 'chai';
import { formatTable, median, percentile } from './table.js';

describe('a table of the bench', () => {
  it('tells medians and percentiles of what was measured', () => {
    expect(median([9, 1, 5])).to.equal(5);
    expect(median([4, 1, 3, 2])).to.equal(2.5);
    expect(() => median([])).to.throw('no value');
    const values = Array.from({ length: 200 }, (_, i) => 200 - i);
    expect(percentile(values, 0.99)).to.equal(199);
    expect(percentile([7], 0.99)).to.equal(7);
  });

  it('is aligned, and names what was missed', () => {
    const table = {
      title: 'T',
      columns: ['', 'found'],
      rows: [
        ['a row', '1 ms'],
        ['b', '20 ms'],
      ],
      missed: [],
    };
    expect(formatTable(table).split('\n')).to.deep.equal([
      'T',
      '',
      '|       | found |',
      '|-------|------:|',
      '| a row |  1 ms |',
      '| b     | 20 ms |',
      '',
      'Every goal is met.',
    ]);
    expect(formatTable({ ...table, missed: ['b: 20 ms, 5 wanted'] })).to.match(/Missed: b: 20 ms, 5 wanted$/);
  });
});
