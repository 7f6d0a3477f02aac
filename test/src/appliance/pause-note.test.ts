import { expect } from 'chai';
import { PauseNote } from '../../../src/appliance/pause-note.js';
import { CrashFiles } from '../../support/crash-files.js';

const PATH = '/state/paused.json';
const VOLUMES = ['ledger', 'mail', 'books'] as const;

const open = (files: CrashFiles): Promise<PauseNote> => PauseNote.open(files, PATH);
const pausedIn = async (files: CrashFiles): Promise<readonly string[]> => {
  const note = await open(files);
  return VOLUMES.filter((volume) => note.has(volume));
};

/** A disk on which it is noted that one volume is paused. */
async function ledgerIsPaused(): Promise<CrashFiles> {
  const files = new CrashFiles();
  await files.makeFolder('/state');
  await (await open(files)).keep(['ledger']);
  return files;
}

describe('the note of what is paused', () => {
  it('is empty where there is none', async () => {
    expect(await pausedIn(new CrashFiles())).to.deep.equal([]);
  });

  it('outlives the process and a power cut', async () => {
    const files = await ledgerIsPaused();
    expect(await pausedIn(files.killed())).to.deep.equal(['ledger']);
    for (let cut = 0; cut < 10; cut++) expect(await pausedIn(files.powerCut(cut))).to.deep.equal(['ledger']);
  });

  it('is the old one or the new one, wherever its change was cut off', async () => {
    const before = await ledgerIsPaused();
    const rehearsal = before.killed();
    await (await open(rehearsal)).keep(['mail', 'books']);
    for (let crashAt = 0; crashAt < rehearsal.log.length; crashAt++) {
      const files = before.killed({ crashAt });
      await (await open(files)).keep(['mail', 'books']).catch(() => undefined);
      expect(files.hasCrashed).to.equal(true);
      for (const left of [files.killed(), files.powerCut(crashAt), files.powerCut(crashAt + 1000)]) {
        expect(await pausedIn(left)).to.be.deep.oneOf([['ledger'], ['mail', 'books']]);
      }
    }
  });

  it('stays as it was when the disk is full', async () => {
    const before = await ledgerIsPaused();
    const files = before.killed({ failAt: { operation: 0, code: 'no-space' } });
    const note = await open(files);
    let code: unknown;
    await note.keep([]).catch((error: unknown) => (code = (error as { code?: unknown }).code));
    expect(code).to.equal('no-space');
    expect(note.has('ledger')).to.equal(true);
    expect(await pausedIn(files.killed())).to.deep.equal(['ledger']);
  });

  for (const [what, text] of [
    ['is not JSON', '{"magic":"farcopy pau'],
    ['is of another kind', '{"magic":"farcopy frozen","version":1,"volumes":["ledger"]}'],
    ['is of a later version', '{"magic":"farcopy paused","version":2,"volumes":["ledger"]}'],
    ['names no volumes', '{"magic":"farcopy paused","version":1,"volumes":[7]}'],
  ] as const) {
    it(`counts as empty when it ${what}, and can be written again`, async () => {
      const files = new CrashFiles();
      await files.makeFolder('/state');
      await files.replace(PATH, Buffer.from(text));
      expect(await pausedIn(files)).to.deep.equal([]);
      await (await open(files)).keep(['mail']);
      expect(await pausedIn(files)).to.deep.equal(['mail']);
    });
  }
});
