import { expect } from 'chai';
import { ParcelSizing } from '../../../src/replication/parcel-sizing.js';

const MIB = 1 << 20;

describe('how much content a parcel holds', () => {
  it('is all that one may hold on a fast line, for a copy too', () => {
    expect(new ParcelSizing(false, () => undefined).contentBytes).to.equal(16 * MIB);
    expect(new ParcelSizing(true, () => undefined).contentBytes).to.equal(16 * MIB);
  });

  it('is much for a delta, and what four minutes carry for a copy, at 57,600 baud', () => {
    expect(new ParcelSizing(false, () => 5760).contentBytes).to.equal(16 * MIB);
    expect(new ParcelSizing(true, () => 5760).contentBytes).to.equal(5760 * 240);
  });

  it('follows what the parcels came to', () => {
    const sizing = new ParcelSizing(true, () => 57_600);
    expect(sizing.accepts(8 * MIB, MIB)).to.equal(true);
    expect(sizing.contentBytes).to.equal(16 * MIB);
    expect(sizing.accepts(8 * MIB, 8 * MIB)).to.equal(true);
    expect(sizing.contentBytes).to.equal(57_600 * 240);
  });

  it('is cut down when the first came to more than the line is to carry, once', () => {
    const sizing = new ParcelSizing(false, () => 5760);
    const first = sizing.contentBytes;
    expect(sizing.accepts(first, first)).to.equal(false);
    const second = sizing.contentBytes;
    expect(second).to.equal(5760 * 240);
    expect(sizing.accepts(second, second)).to.equal(true);
  });

  it('is never cut below a mebibyte, however slow the line', () => {
    const sizing = new ParcelSizing(false, () => 30);
    expect(sizing.accepts(32 * MIB, 32 * MIB)).to.equal(false);
    expect(sizing.contentBytes).to.equal(MIB);
    expect(sizing.accepts(MIB, MIB)).to.equal(true);
  });
});
