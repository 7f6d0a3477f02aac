import { expect } from 'chai';
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Files } from '../../../src/platform/files.js';
import { nodeFiles } from '../../../src/platform/node-files.js';
import { CrashFiles } from '../../support/crash-files.js';
import { MemoryFiles } from '../../support/memory-files.js';

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** What every `Files` must do; `folder` is an empty one of its own, new for each test. */
function describeFiles(
  name: string,
  make: () => { files: Files; folder: string; cleanUp?: () => void },
): void {
  describe(`files: ${name}`, () => {
    let files: Files;
    let folder: string;
    let cleanUp: (() => void) | undefined;
    beforeEach(async () => {
      ({ files, folder, cleanUp } = make());
      await files.makeFolder(folder);
    });
    afterEach(() => cleanUp?.());

    const path = (...names: string[]): string => join(folder, ...names);
    const failure = async (work: Promise<unknown>): Promise<string> =>
      work.then(
        () => 'none',
        (error: unknown) => (error as { code?: string }).code ?? 'no code',
      );

    it('reads back what it wrote, at its place, and grows by writing', async () => {
      const file = await files.open(path('a'), 'create');
      await file.write(Buffer.from('world'), 6);
      file.writeSync(Buffer.from('hello'), 0);
      const found = Buffer.alloc(11);
      await file.read(found, 0);
      expect(found.toString()).to.equal('hello\0world');
      file.readSync(found.subarray(0, 5), 6);
      expect(found.toString()).to.equal('world\0world');
      expect(await file.size()).to.equal(11);
      await file.sync();
      await file.close();
    });

    it('refuses a read past the end, and positions that are not byte offsets', async () => {
      const file = await files.open(path('a'), 'create');
      await file.write(Buffer.from('abc'), 0);
      expect(await failure(file.read(Buffer.alloc(4), 0))).to.equal('short-read');
      expect(() => file.readSync(Buffer.alloc(1), 3))
        .to.throw()
        .with.property('code', 'short-read');
      for (const position of [-1, 1.5, NaN, 2 ** 53]) {
        expect(await failure(file.write(Buffer.from('x'), position))).to.equal('other');
        expect(await failure(file.read(Buffer.alloc(1), position))).to.equal('other');
      }
      await file.close();
    });

    it('does nothing with a closed file, nor to the one that was opened after it', async () => {
      const closed = await files.open(path('a'), 'create');
      await closed.close();
      // The system gives it the number of the one that was closed.
      const file = await files.open(path('b'), 'create');
      await file.write(Buffer.from('kept'), 0);
      expect(await failure(closed.write(Buffer.from('lost'), 0))).to.equal('other');
      expect(() => closed.writeSync(Buffer.from('lost'), 0)).to.throw();
      expect(await failure(closed.truncate(0))).to.equal('other');
      expect(await failure(closed.read(Buffer.alloc(4), 0))).to.equal('other');
      expect(await failure(closed.close())).to.equal('other');
      const found = Buffer.alloc(4);
      await file.read(found, 0);
      expect(found.toString()).to.equal('kept');
      await file.close();
    });

    it('tells how much it read of what is in memory, and none of it twice', async () => {
      const file = await files.open(path('a'), 'create');
      const content = Buffer.alloc(300_000, 'farcopy');
      await file.write(content, 5);
      const found = Buffer.alloc(content.byteLength, 1);
      const count = file.readCachedSync?.(found.subarray(7, 200_007), 5) ?? 0;
      expect(count).to.be.within(0, 200_000);
      expect(found.subarray(7, 7 + count).equals(content.subarray(0, count))).to.equal(true);
      expect(found.subarray(7 + count).every((byte) => byte === 1)).to.equal(true);
      expect(file.readCachedSync?.(found, content.byteLength + 5) ?? 0).to.equal(0);
      await file.close();
    });

    it('opens as the mode says', async () => {
      expect(await failure(files.open(path('a'), 'read'))).to.equal('not-found');
      expect(await failure(files.open(path('a'), 'read-write'))).to.equal('not-found');
      await (await files.open(path('a'), 'create-new')).close();
      expect(await failure(files.open(path('a'), 'create-new'))).to.equal('exists');
      await (await files.open(path('a'), 'exclusive')).close();
      expect(await failure(files.open(folder, 'read'))).to.equal('unsupported');
      expect(await failure(files.open(path('none', 'a'), 'create'))).to.equal('not-found');
      const readOnly = await files.open(path('a'), 'read');
      expect(await failure(readOnly.write(Buffer.from('x'), 0))).to.not.equal('none');
      await readOnly.close();
    });

    it('truncates, punches, and tells where data are', async () => {
      const file = await files.open(path('a'), 'create');
      await file.truncate(1 << 20);
      expect(await file.nextData(0)).to.equal(null);
      await file.write(Buffer.alloc(4096, 1), 1 << 19);
      const data = await file.nextData(0);
      expect(data?.start).to.be.within(1, 1 << 19);
      expect(data?.end).to.be.at.least((1 << 19) + 4096);
      // Only of file systems that are known to tell it for sure.
      const next = (from: number): number => file.nextDataSync?.(from) ?? NaN;
      if (!Number.isNaN(next(0))) {
        expect(next(0)).to.be.within(1, 1 << 19);
        expect(next((1 << 19) + 1)).to.equal((1 << 19) + 1);
        expect(next((1 << 19) + 4096)).to.equal(Infinity);
      }
      if (file.punchSync(1 << 19, 4096)) {
        const found = Buffer.alloc(4096, 9);
        await file.read(found, 1 << 19);
        expect(found.every((byte) => byte === 0)).to.equal(true);
      }
      expect(await file.size()).to.equal(1 << 20);
      await file.truncate(10);
      expect(await file.size()).to.equal(10);
      expect(await file.nextData(10)).to.equal(null);
      await file.close();
    });

    it('replaces a small file whole, and reads it up to a limit', async () => {
      expect(await failure(files.readWhole(path('r'), 100))).to.equal('not-found');
      await files.replace(path('r'), Buffer.from('one'));
      await files.replace(path('r'), Buffer.from('other'));
      expect(Buffer.from(await files.readWhole(path('r'), 5)).toString()).to.equal('other');
      expect(await failure(files.readWhole(path('r'), 4))).to.equal('other');
      expect(await files.list(folder)).to.deep.equal(['r']);
    });

    it('renames over what is there', async () => {
      await files.replace(path('a'), Buffer.from('new'));
      await files.replace(path('b'), Buffer.from('old'));
      await files.rename(path('a'), path('b'));
      expect(await files.list(folder)).to.deep.equal(['b']);
      expect(Buffer.from(await files.readWhole(path('b'), 9)).toString()).to.equal('new');
      expect(await failure(files.rename(path('a'), path('b')))).to.equal('not-found');
    });

    it('makes, lists and removes folders', async () => {
      expect(await files.list(path('x'))).to.deep.equal([]);
      await files.makeFolder(path('x', 'y'));
      await files.makeFolder(path('x', 'y'));
      await files.replace(path('x', 'b'), Buffer.from('1'));
      await files.replace(path('x', 'a'), Buffer.from('1'));
      await files.syncFolder(path('x'));
      expect(await files.list(path('x'))).to.deep.equal(['a', 'b', 'y']);
      expect(await files.exists(path('x', 'y'))).to.equal(true);
      await files.remove(path('x'));
      await files.remove(path('x'));
      expect(await files.exists(path('x'))).to.equal(false);
      expect(await failure(files.list(path('x', 'a')))).to.equal('none');
    });

    it('locks a folder once', async () => {
      const release = await files.lockFolder(folder);
      expect(await failure(files.lockFolder(folder))).to.equal('busy');
      await release();
      await (
        await files.lockFolder(folder)
      )();
    });
  });
}

describeFiles('node', () => {
  const folder = mkdtempSync(join(tmpdir(), 'farcopy-files-'));
  return { files: nodeFiles, folder, cleanUp: () => rmSync(folder, { recursive: true }) };
});
/** A file system in memory. */
const MEMORY = '/dev/shm';
if (isWritable(MEMORY)) {
  const make = (): { files: Files; folder: string; cleanUp: () => void } => {
    const folder = mkdtempSync(join(MEMORY, 'farcopy-files-'));
    return { files: nodeFiles, folder, cleanUp: () => rmSync(folder, { recursive: true }) };
  };
  describeFiles('node, on a file system in memory', make);
  it('all of a file on a file system in memory can be read without waiting', async () => {
    const { files, folder, cleanUp } = make();
    const file = await files.open(join(folder, 'a'), 'create');
    await file.write(Buffer.alloc(1 << 20, 3), 0);
    const found = Buffer.alloc(300_000);
    expect(file.readCachedSync?.(found, 1000)).to.equal(found.byteLength);
    expect(found.every((byte) => byte === 3)).to.equal(true);
    expect(file.readCachedSync?.(found, (1 << 20) - 5)).to.equal(5);
    await file.close();
    cleanUp();
  });
}
describeFiles('in memory', () => ({ files: new MemoryFiles(), folder: '/work' }));
describeFiles('in memory, before it crashes', () => ({ files: new CrashFiles(), folder: '/work' }));

describe('crash files', () => {
  async function twoWrites(crashAt?: number): Promise<CrashFiles> {
    const files = new CrashFiles(crashAt === undefined ? {} : { crashAt });
    try {
      const file = await files.open('/a', 'create');
      await files.syncFolder('/');
      await file.write(Buffer.from('synced..'), 0);
      await file.sync();
      await file.write(Buffer.from('unsynced'), 8);
    } catch {
      // The crash.
    }
    return files;
  }
  const contentAfter = async (files: CrashFiles): Promise<string> =>
    Buffer.from(await files.readWhole('/a', 100)).toString();

  it('keep everything when the process is killed', async () => {
    expect(await contentAfter((await twoWrites()).killed())).to.equal('synced..unsynced');
  });

  it('stop at an operation, with a write cut in the middle, and do nothing after it', async () => {
    const files = await twoWrites(4);
    expect(files.hasCrashed).to.equal(true);
    expect(await contentAfter(files.killed())).to.equal('synced..unsy');
    const error: unknown = await files.readWhole('/a', 100).catch((cause: unknown) => cause);
    expect(error).to.have.property('name', 'CrashError');
  });

  it('keep what was synced through a power cut, and lose some of the rest', async () => {
    const files = await twoWrites();
    const left = new Set<string>();
    for (let seed = 0; seed < 200; seed++) left.add(await contentAfter(files.powerCut(seed)));
    expect([...left].every((content) => content.startsWith('synced..'))).to.equal(true);
    expect(left).to.include('synced..').and.to.include('synced..unsynced');
    expect(left.size).to.be.greaterThan(2);
  });

  it('may lose a file whose folder was not synced', async () => {
    const files = new CrashFiles();
    const file = await files.open('/a', 'create');
    await file.sync();
    const exists = new Set<boolean>();
    for (let seed = 0; seed < 50; seed++) exists.add(await files.powerCut(seed).exists('/a'));
    expect([...exists].sort()).to.deep.equal([false, true]);
  });
});
