import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { byteCount } from '../../../protocol/units.js';
import { nodeFiles } from '../../../src/platform/node-files.js';
import { restoreState } from '../../../src/store/restore.js';
import { Store } from '../../../src/store/store.js';
import type { StateReader } from '../../../src/store/volume-store.js';
import { Seeded } from '../../support/seeded.js';
import { digestOf, MadeVolume, makeParcel, steppingClock, transfer } from './made-sets.js';

describe('restoring a state', () => {
  const SIZE = 8 << 20;
  let folder: string;
  let store: Store;
  let reader: StateReader;
  let wanted: Buffer;
  const cleanups: (() => void)[] = [];
  const path = (name: string): string => join(folder, name);

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'farcopy-restore-'));
    const seeded = new Seeded(5);
    store = await Store.open({
      folder: path('store'),
      files: nodeFiles,
      clock: steppingClock(),
      random: seeded,
    });
    const copy = await store.volume('branch', 'ledger');
    const volume = new MadeVolume(seeded, 4096, SIZE / 4096);
    for (const blocks of [
      new Map([3, 4, 5, 900, 2047].map((index) => [index, seeded.bytes(4096)])),
      new Map([
        [4, null],
        [901, seeded.bytes(4096)],
      ]),
    ]) {
      const parcel = makeParcel(seeded, 4096, blocks);
      const base = volume.states.at(-1);
      const content = Uint8Array.from(base?.content ?? new Uint8Array(SIZE));
      for (const [index, block] of blocks) content.set(block ?? new Uint8Array(4096), index * 4096);
      const plain = volume.makeSet();
      const to = { ...plain.offer.to, size: byteCount(SIZE) };
      const set = {
        offer: { ...plain.offer, to },
        parcels: [parcel],
        order: [parcel.announcement.id],
        digest: digestOf(blocks),
        content,
      };
      await transfer(copy, set, seeded);
      volume.accept(set);
    }
    const older = copy.points()[1];
    if (older === undefined) throw new Error('two points were made');
    reader = await copy.openState(older.state.id);
    wanted = Buffer.from(volume.contentOf(older.state.id));
  });
  after(async () => {
    await reader.close();
    await store.close();
    rmSync(folder, { recursive: true });
  });
  afterEach(() => {
    for (const cleanUp of cleanups.splice(0).reverse()) cleanUp();
  });

  const codeOf = async (work: Promise<unknown>): Promise<string> =>
    work.then(
      () => 'none',
      (error: unknown) => (error as { code?: string }).code ?? String(error),
    );

  it('writes a sparse file that is equal, and tells how far it is', async () => {
    const seen: number[] = [];
    await restoreState(reader, path('out'), {
      force: false,
      progress: ({ done, total }) => {
        expect(total).to.equal(SIZE);
        seen.push(done);
      },
    });
    expect(readFileSync(path('out')).equals(wanted)).to.equal(true);
    expect(statSync(path('out')).blocks * 512).to.be.lessThan(SIZE / 8);
    expect(seen.at(-1)).to.equal(SIZE);
    expect([...seen].sort((a, b) => a - b)).to.deep.equal(seen);
  });

  it('refuses a file that is there, and replaces it when told to', async () => {
    writeFileSync(path('there'), 'precious');
    expect(await codeOf(restoreState(reader, path('there'), { force: false }))).to.equal('target-exists');
    expect(readFileSync(path('there'), 'utf8')).to.equal('precious');
    await restoreState(reader, path('there'), { force: true });
    expect(readFileSync(path('there')).equals(wanted)).to.equal(true);
  });

  it('leaves nothing behind when it is aborted, and the old file as it was', async () => {
    writeFileSync(path('kept'), 'precious');
    const controller = new AbortController();
    const restoring = restoreState(reader, path('kept'), {
      force: true,
      signal: controller.signal,
      progress: () => controller.abort(),
    });
    expect(String(await restoring.catch((cause: unknown) => cause))).to.match(/abort/i);
    expect(readFileSync(path('kept'), 'utf8')).to.equal('precious');
    expect(readdirSync(folder).filter((name) => name.endsWith('.partial'))).to.deep.equal([]);
  });

  it('refuses a folder, and a place that is not there', async () => {
    expect(await codeOf(restoreState(reader, folder, { force: true }))).to.equal('io');
    expect(await codeOf(restoreState(reader, path('no/such/place'), { force: true }))).to.equal('io');
  });

  describe('to a block device', () => {
    function loopDevice(size: number): string | null {
      const backing = path(`backing-${size}`);
      writeFileSync(backing, Buffer.alloc(1 << 20, 0xee));
      truncateSync(backing, size);
      try {
        const device = execFileSync('losetup', ['--find', '--show', backing], {
          encoding: 'utf8',
          stdio: 'pipe',
        }).trim();
        cleanups.push(() => execFileSync('losetup', ['--detach', device]));
        return device;
      } catch {
        return null;
      }
    }

    it('writes zeros too, and only when told to', async function () {
      const device = process.getuid?.() === 0 ? loopDevice(SIZE + 4096) : null;
      if (device === null || !existsSync(device)) return this.skip(); // needs root and losetup
      expect(await codeOf(restoreState(reader, device, { force: false }))).to.equal('target-exists');
      await restoreState(reader, device, { force: true });
      expect(readFileSync(device).subarray(0, SIZE).equals(wanted)).to.equal(true);
    });

    it('refuses one that is too small', async function () {
      const device = process.getuid?.() === 0 ? loopDevice(SIZE - (1 << 20)) : null;
      if (device === null || !existsSync(device)) return this.skip(); // needs root and losetup
      expect(await codeOf(restoreState(reader, device, { force: true }))).to.equal('geometry-mismatch');
      expect(readFileSync(device)[0]).to.equal(0xee);
    });

    it('refuses one that is mounted', async function () {
      const device = process.getuid?.() === 0 ? loopDevice(SIZE + (1 << 20)) : null;
      if (device === null || !existsSync(device)) return this.skip(); // needs root and losetup
      execFileSync('mkfs.ext4', ['-q', device]);
      const mountPoint = mkdtempSync(join(folder, 'mount-'));
      try {
        execFileSync('mount', [device, mountPoint], { stdio: 'pipe' });
      } catch {
        return this.skip(); // mounting is not allowed here
      }
      cleanups.push(() => execFileSync('umount', [mountPoint]));
      expect(await codeOf(restoreState(reader, device, { force: true }))).to.equal('in-use');
    });
  });
});
