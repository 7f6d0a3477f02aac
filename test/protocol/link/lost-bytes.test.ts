import { expect } from 'chai';
import { segmentEnd, segmentEndAfter } from '../../../protocol/link/segment-end.js';
import { NullModem } from '../../support/null-modem.js';
import { Seeded, seedOfThisRun } from '../../support/seeded.js';
import { expectReceived, randomParcel, runUntilHeld, stream } from './parcels.js';

/** A frame so long is one of the longest, on this line. */
const LONG_FRAME = 6900;
const LONGEST_SEGMENT = 6912;

/** A line that takes `lost` bytes out of one long frame in eight. */
function lossyModem(seed: number, lost: number): { modem: NullModem; damaged: () => number } {
  const random = new Seeded(seed);
  let damaged = 0;
  const tap = (frame: Uint8Array): Uint8Array[] => {
    if (frame.length < 5000 || !random.chance(1 / 8)) return [frame];
    damaged += frame.length;
    const at = random.below(frame.length - 1200);
    return [Buffer.concat([frame.subarray(0, at), frame.subarray(at + lost)])];
  };
  const modem = new NullModem({ seed, line: { baud: 57600, latency: 10 }, out: { tap } });
  return { modem, damaged: () => damaged };
}

describe('a frame of which the line has lost some bytes', () => {
  const seed = seedOfThisRun();

  for (const [words, lost] of [
    ['sixteen bytes, as from a receiver that was not read in time', 16],
    ['one byte', 1],
    ['two hundred bytes', 200],
  ] as const) {
    it(`is sent again only around the loss: ${words} (SEED=${seed})`, () => {
      const { modem, damaged } = lossyModem(seed, lost);
      const parcel = randomParcel(modem, 1_500_000);
      stream(modem, parcel);
      runUntilHeld(modem);
      expectReceived(modem, parcel);
      expect(damaged()).to.be.above(20_000);
      // More than half of it would be, if only its front were read.
      expect(modem.primary.link.stats.payloadRepeated / damaged()).to.be.below(0.38);
    });
  }

  it(`is not waited for: the next frame goes out whole, and nothing is asked (SEED=${seed})`, () => {
    // How much of it is found from its end depends on its content: seldom nearly nothing is.
    const repeated = Array.from({ length: 15 }, (_, i) => repeatedAfterOneLoss(seed + i));
    expect(repeated.sort((a, b) => a - b)[7]).to.be.at.most(1024);
  });

  /** Payload bytes that are sent twice because of sixteen bytes lost in one frame. */
  function repeatedAfterOneLoss(content: number): number {
    let left = 1;
    const tap = (frame: Uint8Array): Uint8Array[] =>
      frame.length < LONG_FRAME || left-- <= 0
        ? [frame]
        : [Buffer.concat([frame.subarray(0, 3000), frame.subarray(3016)])];
    const modem = new NullModem({ seed: content, line: { baud: 57600 }, out: { tap } });
    const parcel = randomParcel(modem, 200_000);
    stream(modem, parcel);
    runUntilHeld(modem);
    expectReceived(modem, parcel);
    expect(left).to.be.below(1);
    const { promptsSent, payloadRepeated, payloadRecalled } = modem.primary.link.stats;
    expect(promptsSent, 'with the last segment').to.equal(1);
    // Of one frame: another would have been cut off for want of an answer.
    expect(payloadRepeated + payloadRecalled).to.equal(LONGEST_SEGMENT);
    expect(payloadRecalled).to.be.above(0);
    return payloadRepeated;
  }
});

describe('the end of a segment', () => {
  it('is a whole block of its parcel, unless the segment is short or all that is missing', () => {
    expect(segmentEnd({ start: 0, end: 100_000 }, 5000)).to.equal(4864);
    expect(segmentEnd({ start: 4864, end: 100_000 }, 1024)).to.equal(5888);
    expect(segmentEnd({ start: 700, end: 100_000 }, 1024)).to.equal(1536);
    expect(segmentEnd({ start: 4864, end: 100_000 }, 1023)).to.equal(5887);
    expect(segmentEnd({ start: 4864, end: 9000 }, 5000)).to.equal(9000);
  });

  it('is guessed at from what has come', () => {
    expect(segmentEndAfter(4849)).to.equal(4864);
    expect(segmentEndAfter(4864)).to.equal(4864);
    expect(segmentEndAfter(4865)).to.equal(5120);
  });
});
