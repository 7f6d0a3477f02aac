import { expect } from 'chai';
import { z } from 'zod';
import { VolumeRecords } from '../../../src/control/volume-records.js';
import { MemoryFiles } from '../../support/memory-files.js';

const FORMAT = { magic: 'farcopy test', maxBytes: 1 << 16, record: z.number() };

describe('the records of volumes', () => {
  it('keep all of several changes that come at once, and outlive a restart', async () => {
    const files = new MemoryFiles();
    const records = new VolumeRecords(files, '/records.json', FORMAT);
    await Promise.all([
      records.set('one/a', () => 1),
      records.set('one/b', () => 2),
      records.set('one/a', (before) => (before ?? 0) + 10),
    ]);
    const again = new VolumeRecords(files, '/records.json', FORMAT);
    expect(await again.of('one/a')).to.equal(11);
    expect(await again.of('one/b')).to.equal(2);
    expect(await again.of('one/c')).to.equal(null);
  });

  it('count as empty where the file is absent, another one, damaged or too long', async () => {
    const files = new MemoryFiles();
    const records = new VolumeRecords(files, '/records.json', FORMAT);
    expect(await records.of('one/a')).to.equal(null);
    for (const text of [
      '{"magic":"farcopy other","version":1,"volumes":{"one/a":1}}',
      '{"magic":"farcopy test","version":1,"volumes":{"one/a":"x"}}',
      '{"magic":"farcopy te',
      `{"magic":"farcopy test","version":1,"volumes":{"one/a":1}}${' '.repeat(1 << 16)}`,
    ]) {
      await files.replace('/records.json', Buffer.from(text));
      expect(await records.of('one/a'), text.slice(0, 60)).to.equal(null);
    }
    await records.set('one/a', () => 5);
    expect(await records.of('one/a')).to.equal(5);
  });
});
