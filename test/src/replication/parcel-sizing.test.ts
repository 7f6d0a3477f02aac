import { expect } from 'chai';
import { ParcelSizing } from '../../../src/replication/parcel-sizing.js';

const MIB = 1 << 20;
const LINE_SECONDS = 450;

describe('how much content a parcel holds', () => {
  it('is all that one may hold on a fast line, for a copy too', () => {
    expect(new ParcelSizing(false, () => undefined).contentBytes).to.equal(16 * MIB);
    expect(new ParcelSizing(true, () => undefined).contentBytes).to.equal(16 * MIB);
  });

  it('is much for a delta, and what some minutes carry for a copy, at 57,600 baud', () => {
    expect(new ParcelSizing(false, () => 5760).contentBytes).to.equal(16 * MIB);
    expect(new ParcelSizing(true, () => 5760).contentBytes).to.equal(5760 * LINE_SECONDS);
  });

  it('follows what the parcels came to', () => {
    const sizing = new ParcelSizing(true, () => 28_800);
    expect(sizing.accepts(8 * MIB, MIB)).to.equal(true);
    expect(sizing.contentBytes).to.equal(16 * MIB);
    expect(sizing.accepts(8 * MIB, 8 * MIB)).to.equal(true);
    expect(sizing.contentBytes).to.equal(28_800 * LINE_SECONDS);
  });

  it('is cut down when the first came to more than the line is to carry, once', () => {
    const sizing = new ParcelSizing(false, () => 5760);
    const first = sizing.contentBytes;
    expect(sizing.accepts(first, first)).to.equal(false);
    const second = sizing.contentBytes;
    expect(second).to.equal(5760 * LINE_SECONDS);
    expect(sizing.accepts(second, second)).to.equal(true);
  });

  it('is not cut for what a modem carries in a quarter of an hour', () => {
    const sizing = new ParcelSizing(false, () => 3360);
    expect(sizing.accepts(8 * MIB, 3360 * 900)).to.equal(true);
    expect(sizing.accepts(8 * MIB, 3360 * 900 + 1)).to.equal(false);
  });

  it('is never cut below a mebibyte, however slow the line', () => {
    const sizing = new ParcelSizing(false, () => 30);
    expect(sizing.accepts(32 * MIB, 32 * MIB)).to.equal(false);
    expect(sizing.contentBytes).to.equal(MIB);
    expect(sizing.accepts(MIB, MIB)).to.equal(true);
  });
});
