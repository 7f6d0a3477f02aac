import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ScaleFound } from './scale-probe.js';

/** Limits are generous on purpose: they are to catch a wrong order of growth, not a busy machine. */
describe('a large volume', function () {
  this.timeout(600_000);
  const soak = process.env['FARCOPY_SOAK'] === '1';
  let root = '';
  beforeEach(() => {
    root = fs.mkdtempSync(join(tmpdir(), 'farcopy-scale-'));
  });
  afterEach(() => fs.rmSync(root, { recursive: true, force: true }));

  function probe(sizeBytes: number, blockSize: number, writes: number, fill: boolean): ScaleFound {
    const image = join(root, 'image');
    fs.writeFileSync(image, '');
    fs.truncateSync(image, sizeBytes);
    if (fill) fs.writeFileSync(image, Buffer.alloc(sizeBytes, 1));
    const script = fileURLToPath(new URL('./scale-probe.js', import.meta.url));
    const found = execFileSync(
      process.execPath,
      [script, image, join(root, 'state'), String(blockSize), String(writes)],
      { encoding: 'utf8' },
    );
    console.log(`      ${found.trim()}`);
    return JSON.parse(found) as ScaleFound;
  }

  it('of 1 TiB of hole opens and is collected with little time and memory', () => {
    const found = probe(2 ** 40, 4096, 3000, false);
    expect(found.openMs).to.be.below(2000);
    expect(found.openRssMb).to.be.below(250);
    expect(found.collectMs).to.be.below(1000);
    expect(found.writtenRssMb).to.be.below(300);
    expect(found.reopenMs).to.be.below(2000);
  });

  it(`with ${soak ? 1_000_000 : 50_000} before-images stays small and opens again`, () => {
    const writes = soak ? 1_000_000 : 50_000;
    const found = probe(writes * 512, 512, writes, true);
    expect(found.beforeImageMb).to.equal(Math.round((writes * 512) / 2 ** 20));
    expect(found.writtenRssMb).to.be.below(300);
    expect(found.reopenMs).to.be.below(10_000);
  });
});
