import { expect } from 'chai';
import { MetPrimary } from '../../../src/store/met-primary.js';
import { sealRecord } from '../../../src/store/sealed-record.js';
import { CrashFiles } from '../../support/crash-files.js';

const OPENING = '0123456789abcdef';
const DISTRUST = { since: 1_700_000_000_000, why: 'the machine went down' };

describe('what was heard of a primary', () => {
  let files: CrashFiles;
  beforeEach(async () => {
    files = new CrashFiles();
    await files.makeFolder('/copy');
    await files.syncFolder('/');
  });

  const load = async (from = files): Promise<MetPrimary> => {
    const met = new MetPrimary(from, '/copy');
    await met.load();
    return met;
  };

  it('outlives a power cut: its opening, and that it distrusts what it knows', async () => {
    const met = await load();
    expect(met).to.deep.include({ opening: null, distrust: null });
    await met.setDistrust(DISTRUST);
    expect(await load(files.powerCut(1))).to.deep.include({ opening: null, distrust: DISTRUST });
    await met.meet(OPENING);
    expect(await load(files.powerCut(2))).to.deep.include({ opening: OPENING, distrust: DISTRUST });
    await met.setDistrust(null);
    expect(await load(files.powerCut(3))).to.deep.include({ opening: OPENING, distrust: null });
  });

  it('the same again changes nothing, not even since when', async () => {
    const met = await load();
    await met.setDistrust(DISTRUST);
    await met.setDistrust({ ...DISTRUST, since: DISTRUST.since + 1000 });
    expect(met.distrust).to.deep.equal(DISTRUST);
    await met.setDistrust({ since: DISTRUST.since + 2000, why: 'a sync failed' });
    expect(met.distrust).to.deep.equal({ since: DISTRUST.since + 2000, why: 'a sync failed' });
  });

  it('of before there was distrust is read, damaged is none', async () => {
    await files.replace('/copy/met.json', sealRecord({ magic: 'farcopy-met', opening: OPENING }));
    expect(await load()).to.deep.include({ opening: OPENING, distrust: null });
    await files.replace('/copy/met.json', Buffer.from('{'));
    expect(await load()).to.deep.include({ opening: null, distrust: null });
  });
});
