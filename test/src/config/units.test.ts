import { expect } from 'chai';
import {
  formatCount,
  formatDuration,
  formatSize,
  parseDuration,
  parseSize,
} from '../../../src/config/units.js';

describe('durations and sizes', () => {
  it('are read in their units', () => {
    expect(parseDuration('500ms')).to.equal(500);
    expect(parseDuration('26h')).to.equal(93_600_000);
    expect(parseDuration('1.5m')).to.equal(90_000);
    expect(parseDuration('366d')).to.equal(366 * 86_400_000);
    expect(parseSize('4096B')).to.equal(4096);
    expect(parseSize('2GiB')).to.equal(2 ** 31);
    expect(parseSize('1.5 TiB')).to.equal(1.5 * 2 ** 40);
  });

  it('are refused without a unit, with an unknown one, with a sign, and when they are too large', () => {
    for (const text of ['', '2', '2 sec', '-2s', '2s 3s', '1e3s', 's', '367d', '2constructor']) {
      expect(parseDuration(text), text).to.equal(undefined);
    }
    for (const text of ['', '2', '2GB', '2gib', '-1B', '9000000TiB', '2toString']) {
      expect(parseSize(text), text).to.equal(undefined);
    }
  });

  it('are shown as people read them', () => {
    expect([0, 440, 42_000, 185_000, 3_600_000, 187_200_000].map(formatDuration)).to.deep.equal([
      '0 s',
      '0.4 s',
      '42 s',
      '3 min 5 s',
      '1 h',
      '2 d 4 h',
    ]);
    expect([0, 512, 1536, 16 * 2 ** 20, 2 ** 40].map(formatSize)).to.deep.equal([
      '0 B',
      '512 B',
      '1.5 KiB',
      '16 MiB',
      '1 TiB',
    ]);
  });

  it('counts in words that fit the number', () => {
    expect([0, 1, 2].map((count) => formatCount(count, 'restore point'))).to.deep.equal([
      '0 restore points',
      '1 restore point',
      '2 restore points',
    ]);
  });
});
