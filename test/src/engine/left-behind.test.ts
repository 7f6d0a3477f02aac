import { expect } from 'chai';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { nodeFiles } from '../../../src/platform/node-files.js';
import { EngineBench, pattern } from './engine-bench.js';

const BLOCK = 4096;
const UNIT = 16 * BLOCK;
const PARTITION = 1 << 20;
const UNIT_BLOCKS = UNIT / BLOCK;
const SIZE = 8 * UNIT;
const BLOCKS = SIZE / BLOCK;

function linkOf(path: string): string {
  try {
    return fs.readlinkSync(path);
  } catch {
    return '';
  }
}

describe('what an opening finds', function () {
  this.timeout(60_000);

  let bench: EngineBench;
  let notes: string;
  beforeEach(async () => {
    bench = new EngineBench(SIZE, BLOCK);
    notes = join(bench.root, 'notes');
    fs.mkdirSync(notes);
    await bench.open({ doubtFolder: notes, hotUnitBytes: UNIT });
    await bench.volume.seal({ grade: 'crash', pinAs: ['vault'] });
  });
  afterEach(() => bench.dispose());

  const write = async (unit: number, of = bench): Promise<void> =>
    of.volume.backend.write(unit * UNIT + BLOCK, pattern(unit, BLOCK), false);

  /** Blocks that count as changed once the machine has gone down now. */
  async function dirtyAfterPowerCut(): Promise<number> {
    const left = bench.killed();
    try {
      return (await (await left.open({ bootId: 'boot-2' })).describe()).dirtyBlocks;
    } finally {
      await left.dispose();
    }
  }

  it('is, after a power cut, what was written since it was last synced, and no more', async () => {
    await write(2);
    expect(await dirtyAfterPowerCut()).to.equal(UNIT_BLOCKS);
    await bench.volume.cool();
    expect(await dirtyAfterPowerCut()).to.equal(1, 'the mark');
    await write(5);
    expect(await dirtyAfterPowerCut()).to.equal(1 + UNIT_BLOCKS);
    await bench.volume.backend.flush();
    expect(await dirtyAfterPowerCut()).to.equal(1 + UNIT_BLOCKS, 'a flush syncs no marks');
  });

  it('is everything when the hot log is lost, torn, or of another opening', async () => {
    const path = bench.stateFile('hot.log');
    const whole = fs.readFileSync(path);
    const torn = Buffer.from(whole);
    torn.writeUInt32LE(7, 4096);
    await write(2);
    const later = fs.readFileSync(path);
    for (const harm of [null, later.subarray(0, 5000), torn, Buffer.alloc(later.byteLength)]) {
      if (harm === null) fs.rmSync(path);
      else fs.writeFileSync(path, harm);
      expect(await dirtyAfterPowerCut()).to.equal(BLOCKS);
    }
    fs.writeFileSync(path, later);
    expect(await dirtyAfterPowerCut()).to.equal(UNIT_BLOCKS);
    await bench.reopen();
    await bench.reopen();
    fs.writeFileSync(path, later);
    expect(await dirtyAfterPowerCut()).to.equal(BLOCKS);
  });

  it('a write succeeds when the hot log takes nothing; then everything is in doubt, until there is a new one', async () => {
    for (const failing of ['write', 'sync'] as const) {
      bench.files.fault = (action, path) =>
        path.includes('hot.log') && (action === failing || action === 'replace') ? 'io' : null;
      await write(failing === 'write' ? 2 : 3);
      await write(failing === 'write' ? 4 : 5);
      expect((await bench.volume.describe()).warnings.join()).to.include('cannot be noted');
      expect(fs.readdirSync(notes)).to.have.length(1);
      bench.files.fault = () => null;
      fs.cpSync(notes, `${notes}.kept`, { recursive: true });
      expect(await dirtyAfterPowerCut()).to.equal(BLOCKS);
      fs.cpSync(`${notes}.kept`, notes, { recursive: true });
      await bench.volume.cool();
      expect((await bench.volume.describe()).warnings).to.deep.equal([]);
      expect(fs.readdirSync(notes)).to.deep.equal([]);
      await bench.volume.cool();
      expect(await dirtyAfterPowerCut()).to.equal(failing === 'write' ? 2 : 4);
    }
  });

  it('what waited for a hot log that takes nothing goes on when that is noted, and not only the first', async () => {
    // Found by review: who came while the note was being written went on without it.
    const replace = bench.files.replace.bind(bench.files);
    let letGo = (): void => undefined;
    const held = new Promise<void>((resolve) => (letGo = resolve));
    bench.files.replace = async (path, content, permissions) => {
      if (path.startsWith(notes)) await held;
      await replace(path, content, permissions);
    };
    bench.files.fault = (action, path) => (action === 'sync' && path.endsWith('hot.log') ? 'io' : null);
    const done: number[] = [];
    const writes = [2, 4, 6].map((unit) => write(unit).then(() => done.push(unit)));
    for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(done).to.deep.equal([]);
    letGo();
    await Promise.all(writes);
    expect(fs.readdirSync(notes)).to.have.length(1);
  });

  it('a hot log that cannot be taken up is closed, however often that is tried', async () => {
    // Found by review: each try kept a descriptor, one with each cooling.
    const open = (): number =>
      fs
        .readdirSync('/proc/self/fd')
        .filter((fd) => linkOf(`/proc/self/fd/${fd}`).includes(bench.stateFile('hot.log'))).length;
    expect(open()).to.equal(1);
    bench.files.fault = (action, path) =>
      (action === 'write' && path.endsWith('hot.log')) ||
      (action === 'replace' && path.endsWith('volume.json'))
        ? 'io'
        : null;
    await write(2);
    for (let i = 0; i < 3; i++) await bench.volume.cool();
    expect(open()).to.equal(0);
    bench.files.fault = () => null;
    await bench.volume.cool();
    expect(open()).to.equal(1);
    expect((await bench.volume.describe()).warnings).to.deep.equal([]);
  });

  it('a sync that failed in the background reaches the next flush, and what was written is in doubt', async () => {
    await write(2);
    bench.files.fault = (action, path) => (action === 'sync' && path === bench.image ? 'io' : null);
    await bench.volume.cool();
    bench.files.fault = () => null;
    const [first] = await Promise.allSettled([bench.volume.backend.flush()]);
    expect(first).to.have.nested.property('reason.code', 'io');
    await bench.volume.backend.flush();
    // What is in doubt is on disk before anything stops being hot.
    await bench.volume.cool();
    const { doubts } = JSON.parse(fs.readFileSync(bench.stateFile('volume.json'), 'utf8')) as {
      doubts: { within?: unknown }[];
    };
    expect(doubts.map(({ within }) => within)).to.deep.equal([[{ start: 2 * UNIT, end: 3 * UNIT }]]);
  });

  it('is everything when a superblock was written, though the time of change does not tell', async () => {
    await bench.close();
    // Past where a first partition begins.
    fs.truncateSync(bench.image, 3 << 20);
    await bench.open();
    for (const position of [0, 1024, 65_600, PARTITION + 1024, PARTITION + 65_600, (3 << 20) - 512]) {
      await bench.volume.seal({ grade: 'crash', pinAs: ['vault'] });
      const about = await bench.volume.describe();
      await bench.close();
      const record = bench.stateFile('volume.json');
      const text = fs.readFileSync(record, 'utf8');
      fs.writeFileSync(record, text.replace(/"modifiedMs": [\d.]+/, '"modifiedMs": null'));
      const image = fs.openSync(bench.image, 'r+');
      fs.writeSync(image, Buffer.from([position % 251 || 1]), 0, 1, position);
      fs.closeSync(image);
      await bench.open();
      const now = await bench.volume.describe();
      expect(about.dirtyBlocks).to.equal(0);
      expect(now.dirtyBlocks).to.equal((3 << 20) / BLOCK, `at ${position}`);
    }
  });

  it('is everything when the state folder or the image is a copy', async () => {
    await bench.reopen({ files: nodeFiles });
    await bench.volume.seal({ grade: 'crash', pinAs: ['vault'] });
    fs.cpSync(bench.folder, `${bench.folder}.kept`, { recursive: true });
    await bench.reopen();
    expect((await bench.volume.describe()).dirtyBlocks).to.equal(0);
    await bench.close();
    fs.cpSync(`${bench.folder}.kept`, bench.folder, { recursive: true });
    await bench.open();
    let about = await bench.volume.describe();
    expect(about.dirtyBlocks).to.equal(BLOCKS);
    expect(about.warnings.join()).to.include('restored from a copy');
    await bench.volume.seal({ grade: 'crash', pinAs: ['vault'] });
    await bench.close();
    fs.cpSync(bench.image, `${bench.image}.copy`, { preserveTimestamps: true });
    fs.renameSync(`${bench.image}.copy`, bench.image);
    await bench.open();
    about = await bench.volume.describe();
    expect(about.warnings.join()).to.include('another one than before');
    expect(about.dirtyBlocks).to.equal(BLOCKS);
  });

  it('knows the openings before this one', async () => {
    const [first] = (await bench.volume.describe()).openings ?? [];
    await bench.reopen();
    const openings = (await bench.volume.describe()).openings ?? [];
    expect(openings).to.have.length(2);
    expect(openings[1]).to.equal(first);
    expect(openings[0]).to.match(/^[0-9a-f]{16}$/);
  });
});
