import { expect } from 'chai';
import type { Context } from 'mocha';
import { CutBackup } from '../support/cut-backup.js';
import { CUT_FILESYSTEM_NEEDS } from '../support/cut-filesystem.js';
import { CutPrimary } from '../support/cut-primary.js';
import { must } from '../support/program.js';
import { requires } from '../support/requirements.js';
import { sandboxPerTest } from '../support/sandbox.js';

const soak = process.env['FARCOPY_SOAK'] === '1';
/** Of a primary; of a backup in mid-transfer, and as many in mid-apply. `FARCOPY_CUTS` says another number. */
const PRIMARY_CUTS = cutsOr(soak ? 50 : 2);
const BACKUP_CUTS = cutsOr(soak ? 50 : 1);
/** Several units of the hot log, so that writes wait for it all through a life. */
const VOLUME = { blockCount: 4096, compressible: true };
/** Incompressible, a set of a megabyte. */
const COPIED = { blockCount: 1024, spread: 250, restMs: 2, line: 'tcp' } as const;
const BACKUP_DISK_BYTES = (64 + 3 * BACKUP_CUTS) << 20;
/** In so many cuts a disk or a program that does not keep its promises must be found out. */
const CUTS_TO_BE_FOUND_OUT = 5;

/*
 * The built product on the kernel's own ext4, page cache and journal, over a disk that loses what it was not told to
 * keep. After each cut the machine comes up as another boot.
 */
describe('power cuts on a real ext4', function () {
  this.timeout(120_000 + PRIMARY_CUTS * 60_000);
  const sandbox = sandboxPerTest();

  function needs(context: Context, more: readonly string[] = []): void {
    requires(context, { ...CUT_FILESYSTEM_NEEDS, programs: [...CUT_FILESYSTEM_NEEDS.programs, ...more] });
  }

  it('of the primary: what was flushed is there, and one sync makes the copy the volume', async function () {
    needs(this);
    const cut = await CutPrimary.start(sandbox(), VOLUME);
    const { random } = cut;
    for (let round = 1; round <= PRIMARY_CUTS; round++) {
      await cut.liveAndCut(400, random.chance(0.6));
      const { problems } = await cut.judge();
      expect(problems.slice(0, 5), `cut ${round}: ${problems.length} problems`).to.deep.equal([]);
      while (random.chance(0.3)) await cut.cutWhileOpening(60);
      if (random.chance(0.8) || round === PRIMARY_CUTS) await cut.goOn(`cut ${round}`);
      else await cut.goOnInDoubt();
    }
    await cut.checkPoints('all');
    console.log(
      `      blocks lost that nothing had made durable: ${cut.lostBlocks}, torn: ${cut.tornBlocks}`,
    );
  });

  it('of the backup in mid-transfer and in mid-apply: the same sync completes, no restore point is lost', async function () {
    needs(this);
    const cut = await CutBackup.start(sandbox(), COPIED, BACKUP_DISK_BYTES);
    for (let round = 1; round <= BACKUP_CUTS; round++) {
      await cut.syncAndCut('transfer', 300);
      await cut.judge(`cut ${round} in mid-transfer`);
      await cut.syncAndCut('apply', 120);
      await cut.judge(`cut ${round} in mid-apply`);
    }
    for (const { id } of await cut.busy.pair.points()) await cut.busy.checkState(id.slice(0, 8), id);
    await cut.busy.finish();
    console.log(`      when the power was cut the backup was at: ${cut.found.join(', ')}`);
  });

  it('finds out a disk that keeps nothing of what it answers a flush for', async function () {
    needs(this);
    const cut = await CutPrimary.startAlone(sandbox(), VOLUME);
    const first = await firstProblem(cut, () => cut.disk.disk.lie());
    expect(first).to.match(/shows write 0 of block \d+, durable is write/);
  });

  it('finds out a farcopy whose syncs do nothing', async function () {
    needs(this, ['gcc']);
    const cut = await CutPrimary.startAlone(sandbox(), VOLUME, { LD_PRELOAD: await noSyncs() });
    expect(await firstProblem(cut)).to.match(/durable is write/);
  });

  /** A cut may come before anything was flushed in its life, and then shows nothing. */
  async function firstProblem(
    cut: CutPrimary,
    beforeEach = (): Promise<void> => Promise.resolve(),
  ): Promise<string> {
    for (let round = 1; round <= CUTS_TO_BE_FOUND_OUT; round++) {
      await beforeEach();
      await cut.liveAndCut(100, false);
      const problem = (await cut.judge()).problems[0];
      if (problem !== undefined) return problem;
      await cut.goOnInDoubt();
    }
    return expect.fail(`none of ${CUTS_TO_BE_FOUND_OUT} cuts showed it`);
  }

  /** A library that takes the C library's syncs away from a program. */
  async function noSyncs(): Promise<string> {
    const library = sandbox().path('no-syncs.so');
    const source = 'int fsync(int fd) { return 0; } int fdatasync(int fd) { return 0; }';
    await must('sh', ['-c', 'echo "$1" | gcc -shared -fPIC -x c - -o "$0"', library, source]);
    return library;
  }
});

function cutsOr(otherwise: number): number {
  const given = process.env['FARCOPY_CUTS'];
  return given === undefined ? otherwise : Number(given);
}
