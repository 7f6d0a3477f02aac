import { expect } from 'chai';
import { parcelId } from '../../../protocol/units.js';
import { GatheredSegments } from '../../../src/replication/gathered-segments.js';

const ONE = parcelId('1'.repeat(32));
const OTHER = parcelId('2'.repeat(32));
const KIB = 1024;
const bytes = (length: number): Uint8Array => new Uint8Array(length);

describe('Segments that wait for the store', () => {
  it('are kept together while they follow each other', () => {
    const gathered = new GatheredSegments();
    const run = gathered.add(ONE, 100, bytes(50));
    expect(gathered.add(ONE, 150, bytes(25))).to.equal(null);
    expect(gathered.add(ONE, 175, bytes(25))).to.equal(null);
    expect(run).to.include({ parcel: ONE, offset: 100, end: 200 });
    expect(run?.parts.map(({ length }) => length)).to.deep.equal([50, 25, 25]);
  });

  it('begin anew behind a gap, before what came, and with another parcel', () => {
    const gathered = new GatheredSegments();
    gathered.add(ONE, 100, bytes(50));
    for (const [parcel, offset] of [
      [ONE, 151],
      [ONE, 100],
      [OTHER, 150],
    ] as const) {
      expect(gathered.add(parcel, offset, bytes(50))).to.include({ parcel, offset, end: offset + 50 });
    }
  });

  it('are at most a MiB together', () => {
    const gathered = new GatheredSegments();
    const run = gathered.add(ONE, 0, bytes(16 * KIB));
    for (let at = 16 * KIB; at < 1024 * KIB; at += 16 * KIB)
      expect(gathered.add(ONE, at, bytes(16 * KIB))).to.equal(null);
    expect(gathered.add(ONE, 1024 * KIB, bytes(1))).to.not.equal(null);
    expect(run?.end).to.equal(1024 * KIB);
  });

  it('add nothing to a run whose turn has come', () => {
    const gathered = new GatheredSegments();
    const run = gathered.add(ONE, 0, bytes(10));
    if (run !== null) gathered.take(run);
    expect(gathered.add(ONE, 10, bytes(10))).to.not.equal(null);
    expect(run?.end).to.equal(10);
  });

  it('add nothing to what came before a message about the set', () => {
    const gathered = new GatheredSegments();
    gathered.add(ONE, 0, bytes(10));
    gathered.close();
    expect(gathered.add(ONE, 10, bytes(10))).to.not.equal(null);
  });
});
