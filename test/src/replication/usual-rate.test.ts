import { expect } from 'chai';
import type { EncodingQuality } from '../../../src/replication/parcel-encoding.js';
import { Seeded } from '../../support/seeded.js';
import { BLOCK } from './model-volume.js';
import { TwoSites } from './two-sites.js';

describe('how hard a set is pressed', () => {
  const cases: readonly (readonly [number | null, EncodingQuality])[] = [
    [3360, 11],
    [200_000, 9],
    [null, 4],
  ];
  for (const [usualRate, quality] of cases) {
    it(`follows the usual rate (${usualRate ?? 'not limited'}) before a call, and the line in it`, async () => {
      const sites = new TwoSites(new Seeded(31), [['ledger', 200]]);
      for (let block = 0; block < 200; block++) sites.volume.write(block, sites.seeded.bytes(BLOCK));
      sites.usualRate = usualRate;
      sites.modem.cut();
      await sites.startBackup();
      await sites.startPrimary();
      const state = await sites.seal();
      await sites.clock.until('all is encoded that is wanted ahead', () => sites.pressed.length > 1);
      await sites.clock.pass(1000);
      const ahead = sites.pressed.splice(0);
      expect(new Set(ahead)).to.deep.equal(new Set([quality]));
      sites.modem.restore();
      await sites.untilAt(state);
      expect(sites.pressed.length).to.be.greaterThan(0);
      // A null modem of 115,200 baud.
      expect(new Set(sites.pressed)).to.deep.equal(new Set([11]));
      await sites.close();
    });
  }
});
