import { expect } from 'chai';
import type { SealAttempt, SealCondition } from '../../../src/engine/volume-service.js';
import type { Volume } from '../../../src/engine/volume.js';
import { WriteActivity } from '../../../src/engine/write-activity.js';
import { wallTime } from '../../../protocol/units.js';
import { VirtualClock } from '../../support/virtual-clock.js';
import { contentOf, EngineBench, expectSame, pattern } from './engine-bench.js';

const BLOCK = 4096;
const SIZE = 64 * BLOCK;

describe('the quiet of a volume', () => {
  let clock: VirtualClock;
  let activity: WriteActivity;
  beforeEach(() => {
    clock = new VirtualClock();
    activity = new WriteActivity(clock);
  });

  const write = (fua = false): void => {
    activity.began(fua);
    activity.ended();
  };
  const flush = (): void => activity.flush()();

  it('counts from the opening where nothing was written', async () => {
    await clock.pass(700);
    expect(activity.quietForMs(true)).to.equal(700);
  });

  it('begins with the flush after the last write', async () => {
    write();
    await clock.pass(1000);
    expect(activity.quietForMs(true)).to.equal(null);
    flush();
    await clock.pass(300);
    expect(activity.quietForMs(true)).to.equal(300);
  });

  it('is not begun anew by further flushes that cover nothing', async () => {
    write();
    flush();
    await clock.pass(300);
    flush();
    expect(activity.quietForMs(true)).to.equal(300);
  });

  it('is not there while a write is under way, nor by a flush that began before the write ended', async () => {
    activity.began(false);
    expect(activity.quietForMs(true)).to.equal(null);
    const covered = activity.flush();
    activity.ended();
    covered();
    expect(activity.quietForMs(true)).to.equal(null);
    flush();
    await clock.pass(5);
    expect(activity.quietForMs(true)).to.equal(5);
  });

  it('is not helped by a flush that a later write overtook', () => {
    write();
    const covered = activity.flush();
    write();
    covered();
    expect(activity.quietForMs(true)).to.equal(null);
  });

  it('begins with a FUA write, which is its own end, if all before it was flushed', async () => {
    write();
    flush();
    await clock.pass(50);
    write(true);
    await clock.pass(20);
    expect(activity.quietForMs(true)).to.equal(20);
    write();
    write(true);
    expect(activity.quietForMs(true)).to.equal(null);
  });

  it('needs no flush when nobody is connected', async () => {
    write();
    await clock.pass(10);
    expect(activity.quietForMs(false)).to.equal(10);
  });
});

describe('a seal on a condition', () => {
  let clock: VirtualClock;
  let bench: EngineBench;
  let volume: Volume;
  beforeEach(async () => {
    clock = new VirtualClock();
    bench = new EngineBench(SIZE, BLOCK);
    volume = await bench.open({ clock });
    volume.connectedClients = 1;
  });
  afterEach(() => bench.dispose());

  const write = (block: number, seed: number): void | Promise<void> =>
    volume.backend.write(block * BLOCK, pattern(seed, BLOCK), false);
  const sealIf = (condition: SealCondition): Promise<SealAttempt> =>
    volume.sealIf({ grade: 'quiet', pinAs: ['vault'] }, condition);
  const epochFiles = async (): Promise<number> =>
    (await bench.files.list(bench.folder)).filter((name) => /^epoch-\d+\.map$/.test(name)).length;

  it('is refused while the volume is not quiet, and nothing has happened then', async () => {
    await volume.seal({ grade: 'crash', pinAs: ['vault'] });
    await write(1, 1);
    await volume.tidied();
    const before = await volume.describe();
    const files = await epochFiles();
    expect(await sealIf({ quietMs: 0 })).to.deep.equal({ kind: 'not-quiet', quietForMs: null });
    await volume.backend.flush();
    await clock.pass(1999);
    expect(await sealIf({ quietMs: 2000 })).to.deep.equal({ kind: 'not-quiet', quietForMs: 1999 });
    expect(await volume.describe()).to.deep.equal(before);
    expect(await epochFiles()).to.equal(files);
    await clock.pass(1);
    expect((await sealIf({ quietMs: 2000 })).kind).to.equal('sealed');
  });

  it('is voided by a write that is admitted while it is prepared, and the volume goes on unharmed', async () => {
    const first = await volume.seal({ grade: 'crash', pinAs: ['base'] });
    await clock.pass(5000);
    let hasWritten = false;
    bench.files.delay = async () => {
      if (hasWritten) return;
      hasWritten = true;
      await write(3, 33);
    };
    const attempt = await sealIf({ quietMs: 2000 });
    bench.files.delay = () => Promise.resolve();
    expect(hasWritten).to.equal(true);
    expect(attempt.kind).to.equal('not-quiet');
    expect((await volume.describe()).states.map(({ id }) => id)).to.deep.equal([first.id]);
    expect((await volume.describe()).dirtyBlocks).to.equal(1);

    // The same again after a restart: the prepared epoch is gone for good.
    await volume.tidied();
    volume = await bench.reopen();
    expect((await volume.describe()).dirtyBlocks).to.equal(1);
    const second = await volume.seal({ grade: 'quiet', pinAs: ['vault'] });
    await write(3, 34);
    const held = await contentOf(volume, second.id, BLOCK, SIZE);
    const wanted = Buffer.alloc(SIZE);
    wanted.set(pattern(33, BLOCK), 3 * BLOCK);
    expectSame(held.content, wanted, 'the second state', BLOCK);
    expectSame(
      (await contentOf(volume, first.id, BLOCK, SIZE)).content,
      Buffer.alloc(SIZE),
      'the first',
      BLOCK,
    );
  });

  it('is refused when it is too late', async () => {
    const notAfter = wallTime(clock.wall() + 100);
    expect((await sealIf({ notAfter })).kind).to.equal('sealed');
    await clock.pass(101);
    expect(await sealIf({ notAfter })).to.deep.equal({ kind: 'too-late' });
  });
});
