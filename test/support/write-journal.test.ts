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

  it('takes zeros for what they may be of, and sees those that cannot be', () => {
    const bench = new Bench();
    const { journal, image } = bench;
    const zero = (block: number, isAnswered: boolean): void => {
      const { sequence, content } = journal.issue(block, true);
      content.copy(image, block * SIZE);
      if (isAnswered) journal.acknowledge(sequence);
    };
    const problems = (of = image): readonly string[] => [
      ...journal.checkVolume(of),
      ...journal.checkImage(of).problems,
    ];
    zero(3, true);
    expect(problems()).to.deep.equal([]);
    const zeros = Buffer.from(image);
    bench.write(3);
    expect(problems()).to.deep.equal([]);
    expect(journal.checkVolume(zeros)).to.deep.equal(['block 3: acknowledged write 2 is lost, shows 1']);
    // They were a state, as long as nothing shows that was written after they were overwritten.
    expect(journal.checkImage(zeros).problems).to.deep.equal([]);
    bench.write(4);
    image.copy(zeros, 4 * SIZE, 4 * SIZE, 5 * SIZE);
    expect(journal.checkImage(zeros).problems).to.deep.equal([
      'block 3: shows 1, without write 2 that was done before',
    ]);
    // TRIM has no answer that tells what it did.
    const before = Buffer.from(image);
    const at = journal.time;
    zero(4, false);
    expect([...problems(), ...problems(before)]).to.deep.equal([]);
    expect(journal.checkImage(image, { notAfter: at }).problems).to.deep.equal([
      'block 4: zeros of write 4, issued after the snapshot',
    ]);
    expect(journal.checkImage(before, { notBefore: journal.time }).problems).to.deep.equal([]);
    bench.write(4);
    image.fill(0, 5 * SIZE, 6 * SIZE);
    expect(problems()).to.deep.equal(Array(2).fill('block 5: zeros, which nobody made there'));
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
      'block 5: zeros, which nobody made there',
    ]);
    expect(bench.journal.checkVolume(image.subarray(SIZE))).to.have.length(1);
  });

  describe('after a power cut', () => {
    const { journal } = new Bench();
    const image = journal.firstImage();
    /** Sectors before `until` as one write has them, the others as another. */
    const torn = (block: number, front: number, back: number, until = 3): Buffer =>
      Buffer.concat([
        journal.content(block, front).subarray(0, until * 512),
        journal.content(block, back).subarray(until * 512),
      ]);
    const write = (block: number, isDurable = false): number => {
      const { sequence } = journal.issue(block);
      journal.acknowledge(sequence, { isDurable });
      return sequence;
    };
    const problemsWith = (block: number, content: Buffer): readonly string[] => {
      const left = Buffer.from(image);
      content.copy(left, block * SIZE);
      return journal.checkAfterPowerCut(left).problems;
    };

    // Block 1: flushed, then written again; 2: written with FUA; 3: written while the flush was under way; 4: never answered.
    const [flushed, durable] = [write(1), write(2, true)];
    const flushedAt = journal.issueFlush();
    const during = write(3);
    journal.acknowledgeFlush(flushedAt);
    const later = write(1);
    const unanswered = journal.issue(4).sequence;
    journal.content(1, flushed).copy(image, SIZE);
    journal.content(2, durable).copy(image, 2 * SIZE);

    it('accepts that what nothing made durable is there, lost or torn', () => {
      expect(journal.checkAfterPowerCut(image)).to.deep.equal({ problems: [], lostBlocks: 3, tornBlocks: 0 });
      expect(problemsWith(1, journal.content(1, later))).to.deep.equal([]);
      expect(problemsWith(1, torn(1, later, flushed))).to.deep.equal([]);
      expect(problemsWith(3, journal.content(3, during))).to.deep.equal([]);
      expect(problemsWith(4, torn(4, 0, unanswered))).to.deep.equal([]);
    });

    it('sees that a write is lost, or torn, that was flushed or made with FUA', () => {
      expect(problemsWith(1, journal.content(1, 0))).to.deep.equal([
        `block 1: shows write 0 of block 1, durable is write ${flushed}`,
      ]);
      expect(problemsWith(2, journal.content(2, 0))).to.have.length(1);
      expect(problemsWith(1, torn(1, later, 0))).to.deep.equal([
        `block 1: is torn, durable is write ${flushed}`,
      ]);
      expect(problemsWith(2, torn(2, 0, durable, 7))).to.have.length(1);
      expect(problemsWith(0, journal.content(5, 0))).to.have.length(1);
      expect(journal.checkAfterPowerCut(image.subarray(SIZE)).problems).to.have.length(1);
    });

    it('goes on from what was left, torn or not, and takes nothing of before for it', () => {
      const left = Buffer.from(image);
      torn(1, later, flushed).copy(left, SIZE);
      const next = new WriteJournal(8, { blockCount: BLOCKS, first: left });
      expect(next.firstImage()).to.deep.equal(left);
      expect(next.checkImage(left).problems).to.deep.equal([]);
      const { sequence, content } = next.issue(1);
      next.acknowledge(sequence);
      expect(next.checkVolume(left)).to.have.length(1);
      const now = Buffer.from(left);
      content.copy(now, SIZE);
      expect(next.checkVolume(now)).to.deep.equal([]);
      journal.content(1, later).copy(now, SIZE);
      expect(next.checkImage(now).problems).to.deep.equal(['block 1 is of another volume']);
    });
  });
});
