import { expect } from 'chai';
import { Seeded } from './seeded.js';
import { WriteJournal } from './write-journal.js';

const BLOCKS = 8;
const SIZE = 4096;

/** A volume in memory with a journal beside it. */
class Bench {
  readonly journal = new WriteJournal(7, { blockCount: BLOCKS, blockSize: SIZE });
  readonly image = this.journal.firstImage();

  /** A write that is sent, done and acknowledged. */
  write(block: number): number {
    const sequence = this.lost(block, true);
    this.journal.acknowledge(sequence);
    return sequence;
  }

  /** A write that is sent and never answered; carried out or not. */
  lost(block: number, done: boolean): number {
    const { sequence, content } = this.journal.issue(block);
    if (done) content.copy(this.image, block * SIZE);
    return sequence;
  }
}

describe('write journal', () => {
  it('accepts the volume itself and every state that it went through', () => {
    const bench = new Bench();
    const random = new Seeded(3);
    for (let round = 0; round < 200; round++) {
      bench.write(random.below(BLOCKS));
      expect(bench.journal.checkImage(bench.image).problems).to.deep.equal([]);
      expect(bench.journal.checkVolume(bench.image)).to.deep.equal([]);
    }
  });

  it('accepts an unanswered write whether it was carried out or not', () => {
    for (const done of [true, false]) {
      const bench = new Bench();
      bench.write(2);
      bench.lost(2, done);
      expect(bench.journal.checkVolume(bench.image)).to.deep.equal([]);
      expect(bench.journal.checkImage(bench.image).problems).to.deep.equal([]);
    }
  });

  it('sees that an acknowledged write is lost on the volume', () => {
    const bench = new Bench();
    const before = Buffer.from(bench.image);
    bench.write(5);
    expect(bench.journal.checkVolume(before)).to.deep.equal([
      'block 5: acknowledged write 1 is lost, shows 0',
    ]);
  });

  it('sees that an image misses one changed block', () => {
    const bench = new Bench();
    bench.write(1);
    const stale = Buffer.from(bench.image.subarray(SIZE, 2 * SIZE));
    bench.write(1);
    bench.write(4);
    stale.copy(bench.image, SIZE);
    expect(bench.journal.checkImage(bench.image).problems).to.deep.equal([
      'block 1: shows 1, without write 2 that was done before',
    ]);
  });

  it('sees that an image holds a write from after the snapshot, or lacks one from before', () => {
    const bench = new Bench();
    const before = Buffer.from(bench.image);
    bench.write(3);
    const at = bench.journal.time;
    expect(bench.journal.checkImage(before).problems).to.deep.equal([]);
    expect(bench.journal.checkImage(before, { notBefore: at }).problems).to.have.length(1);
    bench.write(6);
    expect(bench.journal.checkImage(bench.image, { notAfter: at }).problems).to.deep.equal([
      'block 6: shows write 2, issued after the snapshot',
    ]);
  });

  it('sees torn, displaced and foreign blocks and a wrong length', () => {
    const bench = new Bench();
    bench.write(0);
    const image = Buffer.from(bench.image);
    image[100] = (image[100] ?? 0) ^ 1;
    bench.image.copy(image, 2 * SIZE, 3 * SIZE, 4 * SIZE);
    image.fill(0, 5 * SIZE, 6 * SIZE);
    expect(bench.journal.checkVolume(image)).to.deep.equal([
      'block 0 is torn',
      'block 2: holds block 3',
      'block 5 is not a block of this test',
    ]);
    expect(bench.journal.checkVolume(image.subarray(SIZE))).to.have.length(1);
  });
});
