import { expect } from 'chai';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LogFile } from '../../../src/cli/log-file.js';

describe('the log file', () => {
  let folder = '';
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'fc-log-'))));
  afterEach(() => rmSync(folder, { recursive: true }));
  const text = (name: string): string => readFileSync(join(folder, 'state', name), 'utf8');

  it('is not there before the first line, nor are its folders', () => {
    new LogFile(join(folder, 'state', 'farcopy.log')).close();
    expect(readdirSync(folder)).to.deep.equal([]);
  });

  it('goes on where an earlier run ended', () => {
    for (const line of ['one\n', 'two\n']) {
      const log = new LogFile(join(folder, 'state', 'farcopy.log'));
      log.write(line);
      log.close();
    }
    expect(text('farcopy.log')).to.equal('one\ntwo\n');
  });

  it('is kept small: two older ones beside it, and whole lines in each', () => {
    const log = new LogFile(join(folder, 'state', 'farcopy.log'), 100);
    for (let at = 0; at < 100; at++) log.write(`line ${String(at).padStart(4, '0')} of many\n`);
    log.close();
    expect(readdirSync(join(folder, 'state')).sort()).to.deep.equal([
      'farcopy.log',
      'farcopy.log.1',
      'farcopy.log.2',
    ]);
    const all = text('farcopy.log.2') + text('farcopy.log.1') + text('farcopy.log');
    expect(all)
      .to.match(/^(?:line \d{4} of many\n)+$/)
      .and.to.match(/line 0099 of many\n$/);
    for (const name of ['farcopy.log', 'farcopy.log.1', 'farcopy.log.2']) {
      expect(text(name).length).to.be.within(1, 100);
    }
  });

  it('that cannot be written costs lines, never more', () => {
    writeFileSync(join(folder, 'state'), 'no folder');
    const log = new LogFile(join(folder, 'state', 'farcopy.log'));
    log.write('lost\n');
    log.close();
  });
});
