import { expect } from 'chai';
import { copyFile, mkdir, open, readFile, symlink, truncate, writeFile } from 'node:fs/promises';
import { AppliancePair } from '../support/appliance-pair.js';
import { checkExt4, differences, LoopedExport, makeExt4, manifest, Mount, sha256 } from '../support/ext4.js';
import { must, run } from '../support/program.js';
import { requires } from '../support/requirements.js';
import { sandboxPerTest } from '../support/sandbox.js';
import { Seeded, seedOfThisRun } from '../support/seeded.js';

const MIB = 1 << 20;
/** Of the file that is overwritten in place: more than is read ahead of the line, so that some of it is read late. */
const BULK_BYTES = 32 * MIB;

/** Files of many kinds: large and incompressible, text, many small ones, empty, sparse, a link. */
async function writeFiles(root: string, random: Seeded): Promise<void> {
  await mkdir(`${root}/steady/small`, { recursive: true });
  await writeFile(`${root}/steady/noise`, random.bytes(2 * MIB + 777));
  await writeFile(`${root}/steady/text`, 'the quick brown fox\n'.repeat(50_000));
  await writeFile(`${root}/steady/empty`, '');
  await writeFile(`${root}/steady/sparse`, 'only here');
  await truncate(`${root}/steady/sparse`, 3 * MIB);
  await symlink('../text', `${root}/steady/small/link`);
  for (let file = 0; file < 200; file++) {
    await writeFile(`${root}/steady/small/${file}`, random.bytes(random.below(6000)));
  }
  const lines = Array.from({ length: BULK_BYTES / 16 }, (_, line) => `${line}`.padStart(15) + '\n');
  await writeFile(`${root}/bulk`, lines.join(''));
}

/** Goes on writing, in place and new files, until told to stop; how many writes it made. */
function keepWriting(root: string, random: Seeded): { stop: () => Promise<number> } {
  const told = new AbortController();
  const work = (async () => {
    let writes = 0;
    await mkdir(`${root}/restless`, { recursive: true });
    const bulk = await open(`${root}/bulk`, 'r+');
    try {
      while (!told.signal.aborted) {
        const place = random.below(BULK_BYTES - 40_000);
        await bulk.write(random.bytes(1 + random.below(2000)), 0, undefined, place);
        await writeFile(`${root}/restless/${random.below(20)}`, random.bytes(random.below(20_000)));
        if (++writes % 10 === 0) await must('sync', ['--file-system', root]);
      }
    } finally {
      await bulk.close();
    }
    return writes;
  })();
  return {
    stop: () => {
      told.abort();
      return work;
    },
  };
}

describe('ext4 on the export, copied over a serial line', function () {
  this.timeout(180_000);
  const sandbox = sandboxPerTest();

  it('restores to what was on the volume at the snapshot, although writing went on', async function () {
    requires(this, {
      programs: ['socat', 'nbdfuse', 'losetup', 'mkfs.ext4', 'e2fsck', 'fsfreeze'],
      root: true,
    });
    const seed = seedOfThisRun();
    console.log(`      SEED=${seed}`);
    const random = new Seeded(seed);
    const pair = await AppliancePair.start(sandbox(), { sizeBytes: 64 * MIB, baudRate: 8_000_000 });
    const exported = await LoopedExport.attach(sandbox(), 'live', pair.nbdSocket, pair.volume);
    await makeExt4(exported.device);
    const live = await Mount.mount(sandbox(), 'mnt', exported.device);
    await writeFiles(live.folder, random);
    const files = await manifest(live.folder);
    const steady = [...files].filter(([path]) => path.startsWith('steady'));

    await live.freeze();
    const sync = pair.startSync();
    const { to } = await pair.snapshotTaken();
    const reference = sandbox().path('reference');
    await copyFile(pair.device, reference);
    await live.thaw();
    const writing = keepWriting(live.folder, random);
    const result = await sync.result();
    const written = await writing.stop();
    await live.sync();
    const { bytes } = pair.line;
    console.log(
      `      first copy: ${result.blocks} blocks, ${bytes.total} bytes on the line, ${result.seconds} s, ` +
        `${written} writes meanwhile`,
    );

    expect(result.state).to.equal(to.id);
    expect(written).to.be.greaterThan(50);
    expect(await sha256(pair.device)).not.to.equal(await sha256(reference));
    const restored = await pair.restore('restored');
    expect(await sha256(restored)).to.equal(await sha256(reference));
    const check = await checkExt4(restored);
    expect(check.clean, check.report).to.equal(true);
    const copy = await Mount.mount(sandbox(), 'copy', restored, ['ro']);
    expect(differences(files, await manifest(copy.folder))).to.deep.equal([]);
    await copy.unmount();

    // Taken in the midst of writing, nothing frozen: like after a power cut, the journal must make it whole.
    const still = keepWriting(live.folder, random);
    const second = await pair.sync();
    await still.stop();
    console.log(`      second: ${second.blocks} blocks, ${second.bytesSent + second.bytesReceived} bytes`);
    const crashed = await pair.restore('crashed', second.state);
    expect((await run('e2fsck', ['-p', '-f', crashed])).code).to.be.oneOf([0, 1]);
    const replayed = await checkExt4(crashed);
    expect(replayed.clean, replayed.report).to.equal(true);
    const after = await Mount.mount(sandbox(), 'after', crashed, ['ro']);
    const found = await manifest(after.folder);
    for (const [path, what] of steady) expect(found.get(path), path).to.equal(what);
    await after.unmount();

    // The first state is still there, byte for byte.
    const first = await pair.restore('first', to.id);
    expect((await readFile(first)).equals(await readFile(reference))).to.equal(true);
    await live.unmount();
    await exported.detach();
    expect(await pair.primary.stop()).to.equal(0);
    expect(await pair.backup.stop()).to.equal(0);
  });
});
