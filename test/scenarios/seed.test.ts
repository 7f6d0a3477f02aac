import { expect } from 'chai';
import { copyFile, open, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import type {
  PointSummary,
  SeedExportResult,
  SeedImportResult,
} from '../../src/control/appliance-control.js';
import { parcelDigest, parseParcel } from '../../protocol/parcel/parcel.js';
import { blockDigest, SetDigest } from '../../protocol/parcel/set-digest.js';
import {
  decodeSeedEnd,
  encodeSeedEnd,
  SEED_PART_HEAD_BYTES,
  SEED_START_BYTES,
} from '../../protocol/seed/seed-form.js';
import { AppliancePair, type PairOptions } from '../support/appliance-pair.js';
import { farcopy, farcopyJson, farcopyRunning, statusOver } from '../support/farcopy.js';
import { NbdClient } from '../support/nbd-client.js';
import { must } from '../support/program.js';
import { requires } from '../support/requirements.js';
import type { Sandbox } from '../support/sandbox.js';
import { sandboxPerTest } from '../support/sandbox.js';
import { Seeded, seedOfThisRun } from '../support/seeded.js';
import { until } from '../support/until.js';

const MIB = 1 << 20;
const BLOCK = 4096;

/** A pair with a first copy on its way. */
class SeededPair {
  constructor(
    readonly sandbox: Sandbox,
    readonly pair: AppliancePair,
  ) {}

  static async start(sandbox: Sandbox, options: PairOptions): Promise<SeededPair> {
    return new SeededPair(sandbox, await AppliancePair.start(sandbox, options));
  }

  get disk(): string {
    return this.sandbox.path('first.seed');
  }

  get atPrimary(): readonly string[] {
    return ['--config', this.pair.primaryHome.config];
  }
  get atBackup(): readonly string[] {
    return ['--config', this.pair.backupHome.config];
  }

  export(...more: readonly string[]): Promise<SeedExportResult> {
    return farcopyJson(['seed', 'export', this.pair.volume, '--to', this.disk, ...more, ...this.atPrimary]);
  }
  import(...more: readonly string[]): Promise<SeedImportResult> {
    return farcopyJson(['seed', 'import', this.disk, ...more, ...this.atBackup]);
  }

  /** The backup's image is the volume as it is now. */
  async expectEqual(): Promise<void> {
    const image = await readFile(`${this.pair.backupHome.folder}/store/${this.pair.copyName}/image`);
    expect(image.equals(await readFile(this.pair.device))).to.equal(true);
  }

  async seedsWaiting(): Promise<number> {
    return (await this.pair.primary.status()).volumes[0]?.seeds?.length ?? 0;
  }

  async seedOf(state: string): Promise<PointSummary['seed'] | null> {
    const point = (await this.pair.points()).find(({ id }) => id === state);
    return point === undefined ? null : point.seed;
  }
}

describe('a first copy that travels on a disk', function () {
  this.timeout(180_000);
  const sandbox = sandboxPerTest();

  it('is confirmed by a few hundred bytes, and only what changed since goes over the line', async function () {
    requires(this, { programs: ['socat', 'nbdcopy'] });
    const seed = seedOfThisRun();
    console.log(`      SEED=${seed}`);
    const random = new Seeded(seed);
    const pair = await AppliancePair.create(sandbox(), { sizeBytes: 96 * MIB });
    // Another volume, which has nothing to do with it.
    await writeFile(`${pair.primaryHome.folder}/other.img`, random.bytes(MIB));
    await pair.configurePrimary((text) =>
      text.replace(
        'backups:',
        '  - { name: other, device: ./other.img, nbd: "unix:./state/other.sock", ' +
          'consistency: { quiet: 0s, deadline: 0s, atDeadline: crash } }\nbackups:',
      ),
    );
    await Promise.all([pair.startPrimary(), pair.startBackup()]);
    const seeded = new SeededPair(sandbox(), pair);
    const source = sandbox().path('source');
    const file = await open(source, 'w');
    await file.write(random.bytes(24 * MIB), 0, 24 * MIB, 0);
    await file.write(Buffer.from('only here'.padEnd(BLOCK)), 0, BLOCK, 80 * MIB);
    await file.close();
    await truncate(source, 96 * MIB);
    await must('nbdcopy', [source, `nbd+unix:///${pair.volume}?socket=${pair.nbdSocket}`]);

    const client = await NbdClient.connect(pair.nbdSocket, pair.volume);
    const stop = new AbortController();
    const written = new Set<number>();
    const write = async (): Promise<void> => {
      const block = random.below(24_000);
      written.add(block);
      await client.write(block * BLOCK, random.bytes(BLOCK));
    };
    const writing = (async () => {
      while (!stop.signal.aborted) {
        await write();
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    })();
    const exported = await seeded.export();
    stop.abort();
    await writing;
    for (let i = 0; i < 40; i++) await write();
    console.log(
      `      exported ${exported.blocks} blocks, ${exported.bytes} bytes, ${exported.seconds} s, ${written.size} blocks written since it began`,
    );
    expect((await stat(seeded.disk)).size).to.equal(exported.bytes);
    expect(await readdir(sandbox().path('.'))).not.to.include('first.seed.partial');
    expect(await seeded.seedsWaiting()).to.equal(1);

    // While the disk is on its way no first copy is begun over the line; the other volume goes as ever.
    const before = pair.line.bytes.total;
    const held = await farcopy(['sync', pair.volume, ...seeded.atPrimary]);
    expect(held.code).to.equal(1);
    expect(held.stderr)
      .to.match(/on its way to vault on a disk/)
      .and.to.match(/seed drop ledger/);
    expect(pair.line.bytes.total - before).to.be.lessThan(MIB);
    await farcopyJson(['sync', 'other', ...seeded.atPrimary]);

    // A restart in between loses nothing of it.
    expect(await pair.primary.stop()).to.equal(0);
    await pair.startPrimary();
    expect(await seeded.seedsWaiting()).to.equal(1);

    const imported = await seeded.import();
    expect(imported).to.include({ state: exported.state, volume: pair.copyName, blocks: exported.blocks });
    const rawBefore = pair.line.bytes.total;
    const sync = await pair.sync();
    const crossed = pair.line.bytes.total - rawBefore;
    console.log(`      sync: ${sync.blocks} blocks, ${crossed} bytes on the line for ${written.size} blocks`);
    expect(sync.blocks).to.be.at.most(written.size);
    expect(crossed).to.be.lessThan(sync.blocks * (BLOCK + 64) + 6000);
    await seeded.expectEqual();
    expect(await seeded.seedsWaiting()).to.equal(0);
    expect(await seeded.seedOf(exported.state)).to.equal(undefined);
    expect((await pair.backup.status()).volumes.flatMap(({ warnings }) => warnings)).to.deep.equal([]);
    const restored = await readFile(await pair.restore('restored'));
    expect(restored.equals(await readFile(pair.device))).to.equal(true);

    // A copy that exists is never overwritten.
    const again = await farcopy(['seed', 'import', seeded.disk, ...seeded.atBackup]);
    expect(again.code).to.equal(1);
    expect(again.stderr).to.match(/there is a copy of branch\/ledger already/);
    client.close();
    await seeded.expectEqual();
  });

  it('that was tampered with is not trusted: what differs travels, and its point says so', async function () {
    requires(this, { programs: ['socat'] });
    const random = new Seeded(7);
    const seeded = await SeededPair.start(sandbox(), {
      sizeBytes: 64 * MIB,
      content: random.bytes(20 * MIB),
    });
    const exported = await seeded.export();
    const client = await NbdClient.connect(seeded.pair.nbdSocket, seeded.pair.volume);
    for (const block of [0, 3, 700]) await client.write(block * BLOCK, random.bytes(BLOCK));
    await tamper(seeded.disk, 5 * MIB);
    await seeded.import();
    expect(await seeded.seedOf(exported.state)).to.be.oneOf(['unconfirmed', 'differed']);
    const before = seeded.pair.line.bytes.total;
    const sync = await seeded.pair.sync();
    const crossed = seeded.pair.line.bytes.total - before;
    console.log(`      tampered: ${sync.blocks} blocks, ${crossed} bytes on the line`);
    // One that was changed on the way, and those that were written since.
    expect(sync.blocks).to.equal(4);
    expect(crossed).to.be.lessThan(40_000);
    await seeded.expectEqual();
    expect(await seeded.seedOf(exported.state)).to.equal('differed');
    expect(await seeded.seedOf(sync.state)).to.equal(undefined);
    client.close();
  });

  it('is made again after a kill in mid-import, and nothing half is ever a state', async function () {
    requires(this, { programs: ['socat'] });
    const random = new Seeded(8);
    const seeded = await SeededPair.start(sandbox(), {
      sizeBytes: 192 * MIB,
      content: random.bytes(160 * MIB),
    });
    const exported = await seeded.export();
    const { pair } = seeded;
    const running = farcopyRunning(sandbox(), ['seed', 'import', seeded.disk, ...seeded.atBackup]);
    const copy = async () =>
      (await statusOver(pair.backupHome.control)).volumes.find(({ name }) => name === pair.copyName);
    await until('parts of it are held', async () => ((await copy())?.transfer?.bytesHeld ?? 0) > 0);
    expect((await copy())?.lastState).to.equal(null);
    await pair.backup.program.kill();
    expect((await running.finished).code).to.equal(1);
    await pair.startBackup();
    expect(await pair.points()).to.deep.equal([]);

    expect((await seeded.import()).state).to.equal(exported.state);
    const before = pair.line.bytes.total;
    const sync = await pair.sync();
    const crossed = pair.line.bytes.total - before;
    console.log(`      160 MiB, nothing written since: ${crossed} bytes on the line`);
    expect(sync.blocks).to.equal(0);
    expect(crossed).to.be.lessThan(5000);
    await seeded.expectEqual();
  });

  it('is refused where it does not belong, and leaves nothing behind when it is stopped', async function () {
    requires(this, { programs: ['socat'], root: true });
    const random = new Seeded(9);
    const seeded = await SeededPair.start(sandbox(), {
      sizeBytes: 128 * MIB,
      content: random.bytes(120 * MIB),
    });
    const { pair, disk } = seeded;
    const attempt = (path: string, ...more: string[]) =>
      farcopy(['seed', 'export', pair.volume, '--to', path, ...more, ...seeded.atPrimary]);
    const refusals = [
      [[`${pair.primaryHome.folder}/state/x.seed`], /where farcopy keeps its own files/],
      [[pair.device, '--force'], /is volume ledger itself/],
      [[pair.primaryHome.config], /is there already/],
      [[sandbox().path('nowhere/x.seed')], /there is no folder/],
      [[sandbox().path('.')], /is a folder/],
      [['/dev/null', '--force'], /is not a file/],
    ] as const;
    for (const [[path, ...more], text] of refusals) {
      const { code, stderr } = await attempt(path, ...more);
      expect([code, stderr], path).to.satisfy(([c]: [number]) => c === 1);
      expect(stderr).to.match(text);
    }

    // A full disk.
    const small = sandbox().path('small');
    await must('mkdir', [small]);
    await must('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', small]);
    sandbox().defer('umount', async () => {
      await must('umount', [small]);
    });
    const full = await attempt(`${small}/x.seed`);
    expect(full.code).to.equal(1);
    expect(full.stderr).to.match(/the disk is full/);
    expect(await readdir(small)).to.deep.equal([]);

    // Ctrl-C.
    const running = farcopyRunning(sandbox(), [
      'seed',
      'export',
      pair.volume,
      '--to',
      disk,
      ...seeded.atPrimary,
    ]);
    await until('it is being written', async () =>
      stat(`${disk}.partial`).then(
        ({ size }) => size > 0,
        () => false,
      ),
    );
    running.signal('SIGINT');
    expect((await running.finished).code).to.equal(1);
    expect(
      (await readdir(sandbox().path('.'))).filter((name) => name.startsWith('first.seed')),
    ).to.deep.equal([]);
    expect(await seeded.seedsWaiting()).to.equal(0);
    const epochs = await readFile(`${pair.primaryHome.folder}/state/volumes/ledger/epochs.json`, 'utf8');
    expect(epochs).not.to.match(/seed/);

    // A seed that is on its way is not forgotten by making another; given up, the line carries all.
    await seeded.export();
    const second = await attempt(sandbox().path('second.seed'));
    expect(second.stderr).to.match(/on its way to vault already/);
    await rm(disk);
    await farcopyJson(['seed', 'drop', pair.volume, ...seeded.atPrimary]);
    expect(await seeded.seedsWaiting()).to.equal(0);
    const none = await farcopy(['seed', 'drop', pair.volume, ...seeded.atPrimary]);
    expect(none.stderr).to.match(/no seed of ledger is on its way/);
  });

  it('is imported with no appliance running, and compared as a whole where its state is not known', async function () {
    requires(this, { programs: ['socat'] });
    const random = new Seeded(10);
    const seeded = await SeededPair.start(sandbox(), {
      sizeBytes: 64 * MIB,
      content: random.bytes(16 * MIB),
    });
    const { pair } = seeded;
    const exported = await seeded.export();
    await farcopyJson(['seed', 'drop', pair.volume, ...seeded.atPrimary]);
    expect(await pair.backup.stop()).to.equal(0);
    const damaged = sandbox().path('damaged.seed');
    await copyFile(seeded.disk, damaged);
    const file = await open(damaged, 'r+');
    await file.write(Buffer.from('rot'), 0, 3, 3 * MIB);
    await file.close();
    const rotten = await farcopy(['seed', 'import', damaged, ...seeded.atBackup]);
    expect(rotten.code).to.equal(1);
    expect(rotten.stderr).to.match(/damaged: part 1 of 1, at byte \d+/);
    const strange = await farcopy(['seed', 'import', seeded.disk, '--as', 'ship/ledger', ...seeded.atBackup]);
    expect(strange.stderr).to.match(/is not that of ship/);
    await seeded.import();
    const client = await NbdClient.connect(pair.nbdSocket, pair.volume);
    for (const block of [1, 2000]) await client.write(block * BLOCK, random.bytes(BLOCK));
    client.close();
    await pair.startBackup();
    const before = pair.line.bytes.total;
    const sync = await pair.sync();
    console.log(`      unknown: ${sync.blocks} blocks, ${pair.line.bytes.total - before} bytes on the line`);
    expect(sync.blocks).to.equal(2);
    await seeded.expectEqual();
    expect(await seeded.seedOf(exported.state)).to.equal('unconfirmed');
  });
});

/** Changes a byte of content in the part that `place` is in, and makes every check of the file right again, as a forger would. */
async function tamper(path: string, place: number): Promise<void> {
  const bytes = await readFile(path);
  const digest = new SetDigest();
  let at = SEED_START_BYTES + bytes.readUInt32LE(SEED_START_BYTES - 4) + 4;
  const headCrc = bytes.readUInt32LE(at - 4);
  let crc = headCrc;
  while (bytes[at] === 1) {
    const end = at + SEED_PART_HEAD_BYTES + bytes.readUInt32LE(at + 1);
    const encoded = bytes.subarray(at + SEED_PART_HEAD_BYTES, end);
    // Random content is kept as it is, behind a byte that says so.
    expect(encoded[0]).to.equal(0);
    if (at <= place && place < end) {
      bytes.writeUInt8(bytes.readUInt8(place) ^ 1, place);
      bytes.set(parcelDigest(encoded.subarray(1)), at + 5);
    }
    addBlocks(digest, encoded.subarray(1));
    crc = crc32(encoded, crc32(bytes.subarray(at, at + 37), crc));
    bytes.writeUInt32LE(crc, at + 37);
    at = end;
  }
  const told = decodeSeedEnd(bytes.subarray(at), headCrc, crc32);
  if (told === null) throw new Error('the seed has no end');
  bytes.set(encodeSeedEnd({ ...told, digest: digest.finish(), lastCrc: crc }, headCrc, crc32), at);
  await writeFile(path, bytes);
}

function addBlocks(digest: SetDigest, serialized: Uint8Array): void {
  const { runs, content, blockSize } = parseParcel(serialized);
  let at = 0;
  for (const { start, count } of runs) {
    for (let i = 0; i < count; i++, at += blockSize) {
      digest.addBlock(start + i, blockDigest(content.subarray(at, at + blockSize)));
    }
  }
}
