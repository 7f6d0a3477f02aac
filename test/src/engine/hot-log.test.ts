import { expect } from 'chai';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HotLog, readHotLog } from '../../../src/engine/hot-log.js';
import { nodeFiles } from '../../../src/platform/node-files.js';

/** How long a sync of a small file may take on a busy machine. */
const PATIENCE_MS = 30_000;

describe('the hot log on a real disk', function () {
  this.timeout(60_000);

  it('is synced at once while as many slow syncs of other disks are under way as a thread may have', async () => {
    const folder = fs.mkdtempSync(join(tmpdir(), 'farcopy-hot-log-'));
    const { fsync } = fs;
    const held: (() => void)[] = [];
    const works: Promise<void>[] = [];
    let isSlow = true;
    const log = await HotLog.create(nodeFiles, folder, 'abc', { unitBytes: 1 << 20, slots: 64 });
    const file = await nodeFiles.open(join(folder, 'device'), 'create');
    try {
      const slow = (_: number, done: (error: NodeJS.ErrnoException | null) => void): void => {
        if (isSlow) held.push(() => done(null));
        else done(null);
      };
      fs.fsync = Object.assign(slow, { __promisify__: fsync.__promisify__ });
      syncBuiltinESMExports();
      for (let i = 0; i < 8; i++) works.push(file.sync());
      await new Promise((resolve) => setImmediate(resolve));
      expect(held).to.have.length(4);
      log.write({ start: 3, end: 4 });
      const seen = { isSynced: false };
      const synced = log.sync().then(() => (seen.isSynced = true));
      works.push(synced.then(() => undefined));
      const until = Date.now() + PATIENCE_MS;
      while (!seen.isSynced && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 5));
      expect(seen.isSynced).to.equal(true);
      expect(await readHotLog(nodeFiles, folder, ['abc'])).to.deep.equal([{ start: 3 << 20, end: 4 << 20 }]);
      expect(held).to.have.length(4);
    } finally {
      isSlow = false;
      fs.fsync = fsync;
      syncBuiltinESMExports();
      for (const end of held) end();
      await Promise.all(works);
      await file.close();
      await log.close();
      fs.rmSync(folder, { recursive: true });
    }
  });
});
