import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { VolumeError } from '../../../src/engine/errors.js';
import { nodeFiles } from '../../../src/platform/node-files.js';
import { contentOf, EngineBench, pattern } from './engine-bench.js';

const BLOCK = 4096;
const SIZE = 64 * BLOCK;

const losetup = (...options: string[]): string =>
  execFileSync('losetup', options, { encoding: 'utf8' }).trim();

/** Needs root and loop devices. */
describe('a volume on a raw block device', () => {
  let bench: EngineBench;
  let loop = '';
  before(function () {
    try {
      losetup('--find');
    } catch {
      console.log('      skipped: needs root and a free loop device');
      this.skip();
    }
  });
  beforeEach(() => {
    bench = new EngineBench(SIZE, BLOCK);
  });
  afterEach(async () => {
    await bench.dispose();
    if (loop !== '') losetup('--detach', loop);
    loop = '';
  });

  it('keeps states, and writes zeros where it cannot make holes', async () => {
    loop = losetup('--find', '--show', bench.image);
    const volume = await bench.open({ device: loop, files: nodeFiles });
    await volume.backend.write(0, pattern(1, SIZE), true);
    const state = await volume.seal({ grade: 'crash', pinAs: ['vault'] });
    await volume.backend.trim(0, 4 * BLOCK, false);
    expect((await volume.describe()).dirtyBlocks).to.equal(0, 'a trim is left out');
    await volume.backend.writeZeroes(100, 5 * BLOCK, { noHole: false, fua: true });
    const into = Buffer.alloc(SIZE);
    await volume.backend.read(0, into);
    expect(into).to.deep.equal(pattern(1, SIZE).fill(0, 100, 100 + 5 * BLOCK));
    const { content, unavailable } = await contentOf(volume, state.id, BLOCK, SIZE);
    expect(unavailable.size).to.equal(0);
    expect(content).to.deep.equal(pattern(1, SIZE));
    await bench.reopen();
    expect((await bench.volume.describe()).warnings).to.deep.equal([]);
  });

  it('is refused while it is mounted, and nobody can mount it afterwards', async () => {
    fs.truncateSync(bench.image, 8 << 20);
    execFileSync('mkfs.ext4', ['-q', bench.image]);
    loop = losetup('--find', '--show', bench.image);
    const mountPoint = `${bench.root}/mounted`;
    fs.mkdirSync(mountPoint);
    execFileSync('mount', [loop, mountPoint]);
    try {
      const error = await bench.open({ device: loop, files: nodeFiles }).catch((reason: unknown) => reason);
      expect(error).to.be.instanceOf(VolumeError).with.property('code', 'in-use');
    } finally {
      execFileSync('umount', [mountPoint]);
    }
    await bench.open({ device: loop, files: nodeFiles });
    expect(() => execFileSync('mount', [loop, mountPoint], { stdio: 'pipe' })).to.throw();
  });

  it('is refused when it is read-only', async () => {
    loop = losetup('--find', '--show', '--read-only', bench.image);
    const error = await bench.open({ device: loop, files: nodeFiles }).catch((reason: unknown) => reason);
    expect(error).to.be.instanceOf(VolumeError).with.property('code', 'read-only-device');
    expect(fs.existsSync(bench.folder)).to.equal(false);
  });
});
