import { expect } from 'chai';
import * as fs from 'node:fs';
import { VolumeError } from '../../../src/engine/errors.js';
import { FileError } from '../../../src/platform/files.js';
import { contentOf, EngineBench, expectSame, gather, pattern } from './engine-bench.js';

const BLOCK = 4096;
const BLOCKS = 600;
const SIZE = BLOCKS * BLOCK;

const codeOf = (error: Error): string => (error instanceof VolumeError ? error.code : 'no VolumeError');

async function failure(work: () => unknown): Promise<Error> {
  try {
    await work();
  } catch (error) {
    return error as Error;
  }
  throw new Error('did not fail');
}

describe('when disks fail or fill up', () => {
  let bench: EngineBench;
  beforeEach(async () => {
    bench = new EngineBench(SIZE, BLOCK);
    await bench.open();
  });
  afterEach(() => bench.dispose());

  const write = (block: number, seed: number, blocks = 1): void | Promise<void> =>
    bench.volume.backend.write(block * BLOCK, pattern(seed, blocks * BLOCK), false);

  for (const [how, part] of [
    ['content', '.before'],
    ['index', '.index'],
  ] as const) {
    for (const blocks of [1, 40, 300]) {
      it(`a write of ${blocks} blocks succeeds when the before-images' ${how} cannot be written`, async () => {
        await write(0, 1, BLOCKS);
        const state = await bench.volume.seal({ grade: 'crash', pinAs: ['vault'] });
        bench.files.fault = (action, path) => (action === 'write' && path.endsWith(part) ? 'no-space' : null);
        await write(7, 2, blocks);
        bench.files.fault = () => null;
        await write(590, 3);
        const read = await contentOf(bench.volume, state.id, BLOCK, SIZE);
        expect([...read.unavailable].slice(0, 256)).to.deep.equal(
          Array.from({ length: Math.min(blocks, 256) }, (_, i) => i + 7),
        );
        expect((await bench.volume.describe()).warnings.join()).to.match(/is given up/);
        expect((await bench.volume.describe()).beforeImageBytes).to.equal(BLOCK);
        await bench.reopen();
        const again = await contentOf(bench.volume, state.id, BLOCK, SIZE);
        expect([...again.unavailable].slice(0, 40)).to.deep.equal([...read.unavailable].slice(0, 40));
      });
    }
  }

  it('a write succeeds when marks cannot be written, and a killed process comes back with all changed', async () => {
    const first = await bench.volume.seal({ grade: 'crash', pinAs: ['vault'] });
    bench.files.fault = (action, path) => (action === 'write' && path.endsWith('.map') ? 'no-space' : null);
    let writes = 0;
    bench.files.fault = (action, path) =>
      // The flag in the header is the second write: a full disk still takes it.
      action === 'write' && path.endsWith('.map') && writes++ % 2 === 0 ? 'no-space' : null;
    await write(3, 1);
    bench.files.fault = () => null;
    expect((await bench.volume.describe()).warnings[0]).to.include('changed blocks could not be noted');
    expect((await bench.volume.describe()).dirtyBlocks).to.equal(1, 'memory is exact');
    const killed = bench.killed();
    try {
      await killed.open();
      expect((await killed.volume.describe()).dirtyBlocks).to.equal(BLOCKS);
    } finally {
      await killed.dispose();
    }
    const second = await bench.volume.seal({ grade: 'crash', pinAs: ['travel'] });
    expect((await bench.volume.describe()).warnings).to.deep.equal([]);
    const set = await gather(bench.volume, { from: first.id, to: second.id }, BLOCK);
    expect([...set.blocks.keys()]).to.deep.equal([3]);
  });

  it('a state disk that takes nothing more is remembered outside of it, until its marks are written', async () => {
    const notes = `${bench.root}/shm`;
    fs.mkdirSync(notes);
    await bench.reopen({ doubtFolder: notes });
    const first = await bench.volume.seal({ grade: 'crash', pinAs: ['vault'] });
    bench.files.fault = (action, path) =>
      path.startsWith(bench.folder) && action !== 'read' && action !== 'open' ? 'read-only' : null;
    await write(3, 1);
    // Another doubt may be noted before that of the marks.
    const { id } = await bench.volume.describe();
    while (!fs.readdirSync(notes).includes(`farcopy-doubt-${id}`))
      await new Promise((resolve) => setImmediate(resolve));
    fs.cpSync(notes, `${notes}.kept`, { recursive: true });
    const killed = bench.killed();
    try {
      await killed.open();
      const about = await killed.volume.describe();
      expect(about.dirtyBlocks).to.equal(BLOCKS);
      expect(about.warnings.join()).to.include('could not be noted');
    } finally {
      await killed.dispose();
    }
    expect(fs.readdirSync(notes)).to.deep.equal([], 'the doubt is in the map now');
    fs.cpSync(`${notes}.kept`, notes, { recursive: true });
    await write(4, 1);
    await bench.close();
    bench.files.fault = () => null;
    await bench.open();
    expect((await bench.volume.describe()).dirtyBlocks).to.equal(
      BLOCKS,
      'after a stop that could not write either',
    );
    const second = await bench.volume.seal({ grade: 'crash', pinAs: ['travel'] });
    expect((await gather(bench.volume, { from: first.id, to: second.id }, BLOCK)).blocks.size).to.equal(
      BLOCKS,
    );
    await bench.reopen();
    expect(fs.readdirSync(notes)).to.deep.equal([]);
    expect((await bench.volume.describe()).dirtyBlocks).to.equal(0);
  });

  it('a failed sync that the state disk cannot take down is remembered outside of it, also by a killed process', async () => {
    const notes = `${bench.root}/shm`;
    fs.mkdirSync(notes);
    await bench.reopen({ doubtFolder: notes });
    await bench.volume.seal({ grade: 'crash', pinAs: ['base:vault'] });
    await write(3, 1);
    bench.files.fault = (action, path) =>
      (path === bench.image && action === 'sync') ||
      (path.startsWith(bench.folder) && action !== 'read' && action !== 'open')
        ? 'io'
        : null;
    expect(await failure(() => bench.volume.backend.flush())).to.be.an('error');
    while (!fs.readdirSync(notes).includes(`farcopy-sync-doubt-${(await bench.volume.describe()).id}`))
      await new Promise((resolve) => setImmediate(resolve));
    const killed = bench.killed();
    try {
      await killed.open();
      const about = await killed.volume.describe();
      expect(about.warnings.join()).to.include('a sync of the device had failed');
      expect(Object.keys(about.distrusted ?? {})).to.deep.equal(['base:vault']);
      expect(about.dirtyBlocks).to.equal(BLOCKS);
    } finally {
      await killed.dispose();
    }
  });

  it('a failed sync is noted outside only until the state folder has it', async () => {
    const notes = `${bench.root}/shm`;
    fs.mkdirSync(notes);
    await bench.reopen({ doubtFolder: notes });
    await bench.volume.seal({ grade: 'crash', pinAs: ['base:vault'] });
    await write(3, 1);
    bench.files.fault = (action, path) => (path === bench.image && action === 'sync' ? 'io' : null);
    expect(await failure(() => bench.volume.backend.flush())).to.be.an('error');
    bench.files.fault = () => null;
    const isSaved = (): boolean =>
      fs.readFileSync(`${bench.folder}/volume.json`, 'utf8').includes('a sync of the device failed');
    while (!isSaved() || fs.readdirSync(notes).length > 0)
      await new Promise((resolve) => setImmediate(resolve));
    const killed = bench.killed();
    try {
      await killed.open();
      const { distrusted, dirtyBlocks } = await killed.volume.describe();
      expect(Object.keys(distrusted ?? {})).to.deep.equal(['base:vault']);
      expect(dirtyBlocks, 'only what was hot').to.be.below(BLOCKS);
    } finally {
      await killed.dispose();
    }
  });

  it('marks that were late are in the file after the next seal', async () => {
    const first = await bench.volume.seal({ grade: 'crash', pinAs: ['vault'] });
    bench.files.fault = (action, path) => (action === 'write' && path.endsWith('.map') ? 'io' : null);
    await write(3, 1);
    bench.files.fault = () => null;
    await write(500, 1);
    const second = await bench.volume.seal({ grade: 'crash', pinAs: ['other'] });
    const killed = bench.killed();
    try {
      await killed.open();
      const set = await gather(killed.volume, { from: first.id, to: second.id }, BLOCK);
      expect([...set.blocks.keys()]).to.deep.equal([3, 500]);
    } finally {
      await killed.dispose();
    }
  });

  it('no state is sealed while its map cannot be written or synced; the next one holds all', async () => {
    const first = await bench.volume.seal({ grade: 'crash', pinAs: ['vault'] });
    for (const action of ['write', 'sync'] as const) {
      await write(action === 'write' ? 3 : 4, 1);
      bench.files.fault = (what, path) =>
        what === action && path.endsWith(action === 'write' ? 'epoch-1.map' : 'epoch-2.map') ? 'io' : null;
      if (action === 'write') await write(5, 2);
      const error = await failure(() => bench.volume.seal({ grade: 'crash', pinAs: ['vault'] }));
      expect(codeOf(error)).to.equal('io');
      bench.files.fault = () => null;
    }
    await write(5, 3);
    const second = await bench.volume.seal({ grade: 'crash', pinAs: ['travel'] });
    expect(second.ordinal).to.equal(1);
    expect(second.parent).to.equal(first.id);
    const set = await gather(bench.volume, { from: first.id, to: second.id }, BLOCK);
    expect([...set.blocks.keys()]).to.deep.equal([3, 4, 5]);
  });

  it('a seal that fails after the flip changes no answer', async () => {
    await write(0, 1, 10);
    const first = await bench.volume.seal({ grade: 'crash', pinAs: ['vault'] });
    const wanted = fs.readFileSync(bench.image);
    await write(1, 2);
    bench.files.fault = (action, path) => (action === 'sync' && path === bench.image ? 'io' : null);
    const error = await failure(() => bench.volume.seal({ grade: 'crash', pinAs: ['vault'] }));
    expect(codeOf(error)).to.equal('io');
    bench.files.fault = () => null;
    await write(1, 3);
    await write(2, 4);
    expectSame((await contentOf(bench.volume, first.id, BLOCK, SIZE)).content, wanted, 'first', BLOCK);
    const killed = bench.killed();
    try {
      await killed.open();
      await killed.volume.backend.write(3 * BLOCK, pattern(5, BLOCK), false);
      const read = await contentOf(killed.volume, first.id, BLOCK, SIZE);
      expect(read.unavailable.size).to.equal(0);
      expectSame(read.content, wanted, 'first, reopened', BLOCK);
      const second = await killed.volume.seal({ grade: 'crash', pinAs: ['travel'] });
      const set = await gather(killed.volume, { from: first.id, to: second.id }, BLOCK);
      expect([...set.blocks.keys()]).to.deep.equal([1, 2, 3]);
      await killed.volume.tidied();
      expect((await gather(killed.volume, { from: first.id, to: second.id }, BLOCK)).blocks.size).to.equal(3);
      expectSame((await contentOf(killed.volume, first.id, BLOCK, SIZE)).content, wanted, 'merged', BLOCK);
    } finally {
      await killed.dispose();
    }
  });

  it('a seal for which no files can be made leaves everything as it was', async () => {
    const first = await bench.volume.seal({ grade: 'crash', pinAs: ['vault'] });
    await write(1, 2);
    for (const target of ['epoch-2.map', 'epoch-2.before', 'epoch-2.index', 'epochs.json']) {
      bench.files.fault = (action, path) =>
        (action === 'open' || action === 'replace') && path.endsWith(target) ? 'no-space' : null;
      const error = await failure(() => bench.volume.seal({ grade: 'crash', pinAs: ['vault'] }));
      expect(codeOf(error)).to.equal('io');
      bench.files.fault = () => null;
      expect(fs.readdirSync(bench.folder).filter((name) => name.startsWith('epoch-2'))).to.deep.equal([]);
    }
    const second = await bench.volume.seal({ grade: 'crash', pinAs: ['travel'] });
    expect([
      ...(await gather(bench.volume, { from: first.id, to: second.id }, BLOCK)).blocks.keys(),
    ]).to.deep.equal([1]);
  });

  it('a failed sync reaches the client, and is remembered over a restart', async () => {
    bench.files.fault = (action, path) => (action === 'sync' && path === bench.image ? 'io' : null);
    const failed = await Promise.allSettled([
      bench.volume.backend.flush(),
      bench.volume.backend.flush(),
      bench.volume.backend.write(0, pattern(1, BLOCK), true),
    ]);
    for (const outcome of failed) {
      expect(outcome.status).to.equal('rejected');
      expect((outcome as PromiseRejectedResult).reason)
        .to.be.instanceOf(FileError)
        .with.property('code', 'io');
    }
    bench.files.fault = () => null;
    await bench.volume.backend.flush();
    await bench.reopen();
    expect((await bench.volume.describe()).warnings[0]).to.include('a sync of the device failed');
  });

  it('a failed sync is remembered over a stop that goes well, though it could not be noted before', async () => {
    // Found by review: the mark of a clean stop was written beside a doubt that was in memory only.
    await write(1, 1);
    await bench.volume.seal({ grade: 'crash', pinAs: ['base:vault'] });
    await write(1, 2);
    bench.files.fault = (action, path) =>
      (action === 'sync' && path === bench.image) || (action === 'replace' && path.endsWith('volume.json'))
        ? 'io'
        : null;
    expect(await failure(() => bench.volume.backend.flush())).to.be.instanceOf(FileError);
    expect((await bench.volume.describe()).distrusted).to.have.property('base:vault');
    bench.files.fault = () => null;
    await bench.reopen();
    const about = await bench.volume.describe();
    expect(about.warnings[0]).to.include('a sync of the device failed');
    expect(about.distrusted).to.have.property('base:vault');
  });

  it('a device that fails a write fails that request only', async () => {
    for (const blocks of [1, 100]) {
      bench.files.fault = (action, path) => (action === 'write' && path === bench.image ? 'io' : null);
      expect(await failure(() => write(1, 1, blocks))).to.be.instanceOf(FileError);
      bench.files.fault = () => null;
      await write(1, 2, blocks);
      const into = Buffer.alloc(blocks * BLOCK);
      await bench.volume.backend.read(BLOCK, into);
      expect(into).to.deep.equal(pattern(2, blocks * BLOCK));
    }
  });

  it('a merge that fails is taken up again', async () => {
    await write(0, 1, 20);
    const base = await bench.volume.seal({ grade: 'crash', pinAs: ['vault'] });
    const wanted = fs.readFileSync(bench.image);
    for (let i = 0; i < 3; i++) {
      await write(i * 3, 10 + i, 5);
      await bench.volume.seal({ grade: 'crash', pinAs: ['travel'] });
      bench.files.fault = (action, path) =>
        action === 'write' && path.endsWith('epoch-1.before') ? 'no-space' : null;
      await bench.volume.tidied();
    }
    expect((await bench.volume.describe()).warnings.join()).to.include('could not be merged');
    bench.files.fault = () => null;
    await bench.volume.unpin('travel');
    await bench.volume.tidied();
    const about = await bench.volume.describe();
    expect(about.warnings).to.deep.equal([]);
    expect(about.states).to.have.length(2);
    const read = await contentOf(bench.volume, base.id, BLOCK, SIZE);
    expect(read.unavailable.size).to.equal(0);
    expectSame(read.content, wanted, 'base', BLOCK);
  });

  it('calls after the end fail as closed', async () => {
    const { volume } = bench;
    await bench.close();
    for (const call of [
      () => volume.seal({ grade: 'crash', pinAs: [] }),
      () => volume.unpin('vault'),
      () => volume.backend.write(0, Buffer.alloc(1), false),
      () => volume.backend.flush(),
    ]) {
      expect(codeOf(await failure(call))).to.equal('closed');
    }
    await volume.close();
  });
});
