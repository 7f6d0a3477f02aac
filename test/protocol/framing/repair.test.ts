import { expect } from 'chai';
import { crc32 } from 'node:zlib';
import { encodeFrame } from '../../../protocol/framing/frame.js';
import { MAX_FRAME_BODY } from '../../../protocol/framing/limits.js';
import { endOfFirst, joins, repairs } from '../../../protocol/framing/repair.js';
import { Seeded, seedOfThisRun } from '../../support/seeded.js';

const crc = (bytes: Uint8Array): number => crc32(bytes);

/** The frame of this body without its delimiter, with these bits inverted; undefined when that makes a delimiter. */
function damaged(body: Uint8Array, bits: readonly number[]): Uint8Array | undefined {
  const frame = Uint8Array.from(encodeFrame(body, crc).subarray(0, -1));
  for (const bit of bits) frame[bit >> 3]! ^= 1 << (bit & 7);
  return frame.includes(0) ? undefined : frame;
}

const isAmongRepairs = (frame: Uint8Array, body: Uint8Array): boolean =>
  [...repairs(frame, crc)].some((candidate) => Buffer.compare(candidate.body, body) === 0);

describe('repair of a frame', () => {
  const seed = seedOfThisRun();

  it(`finds every single flipped bit, in the checksum too (SEED=${seed})`, () => {
    const body = new Seeded(seed).bytes(90);
    const bits = 8 * (encodeFrame(body, crc).length - 1);
    for (let bit = 0; bit < bits; bit++) {
      const frame = damaged(body, [bit]);
      if (frame === undefined) continue;
      const [first, ...others] = [...repairs(frame, crc)].filter((candidate) => candidate.bits === 1);
      expect(first?.body, `bit ${bit}`).to.deep.equal(body);
      expect(others).to.deep.equal([]);
    }
  });

  it(`has the right body among its candidates for every pair of flipped bits of a short frame (SEED=${seed})`, () => {
    const body = new Seeded(seed).bytes(12);
    const bits = 8 * (encodeFrame(body, crc).length - 1);
    for (let first = 0; first < bits; first++) {
      for (let second = first + 1; second < bits; second++) {
        const frame = damaged(body, [first, second]);
        if (frame !== undefined) expect(isAmongRepairs(frame, body), `${first} and ${second}`).to.equal(true);
      }
    }
  });

  it(`finds one and two flipped bits of long frames (SEED=${seed})`, () => {
    const random = new Seeded(seed);
    for (const size of [1, 253, 254, 255, 4000, MAX_FRAME_BODY]) {
      const body = random.bytes(size);
      const bits = 8 * (encodeFrame(body, crc).length - 1);
      for (let round = 0; round < 20; round++) {
        const places = [random.below(bits), random.below(bits)].slice(0, 1 + (round % 2));
        const frame = damaged(body, places[0] === places[1] ? [places[0]!] : places);
        if (frame !== undefined)
          expect(isAmongRepairs(frame, body), `${size}: ${places.join()}`).to.equal(true);
      }
    }
  });

  it(`joins two frames where a flipped bit has made a delimiter, and finds another wrong bit (SEED=${seed})`, () => {
    const random = new Seeded(seed);
    let joined = 0;
    for (const size of [40, 600, 5000]) {
      const body = random.bytes(size);
      const frame = encodeFrame(body, crc).subarray(0, -1);
      for (let at = 1; at < frame.length - 6; at++) {
        const byte = frame[at]!;
        if ((byte & (byte - 1)) !== 0) continue;
        const rest = Uint8Array.from(frame.subarray(at + 1));
        if (at % 2 === 0) rest[random.below(rest.length - 5)]! ^= 0x80;
        if (rest.includes(0)) continue;
        const bodies = [...joins(frame.subarray(0, at), rest, crc)].map((candidate) => candidate.body);
        expect(
          bodies.some((found) => Buffer.compare(found, body) === 0),
          `${size}: at ${at}`,
        ).to.equal(true);
        joined++;
      }
    }
    expect(joined).to.be.above(50);
    expect([...joins(random.bytes(9000), random.bytes(9000), crc)]).to.deep.equal([]);
  });

  it(`finds the end of a whole frame whose delimiter is damaged, and none in noise (SEED=${seed})`, () => {
    const random = new Seeded(seed);
    for (const [first, second] of [
      [1, 1],
      [3, 900],
      [700, 20],
      [5000, 5000],
    ] as const) {
      const frames = [first, second].map((size) => encodeFrame(random.bytes(size), crc).subarray(0, -1));
      const merged = Buffer.concat([frames[0]!, Uint8Array.of(1 << random.below(8)), frames[1]!]);
      expect(endOfFirst(merged)).to.equal(frames[0]!.length);
    }
    for (let round = 0; round < 50; round++)
      expect(endOfFirst(random.bytes(random.below(2000)))).to.equal(undefined);
  });

  it(`finds the beginning of a whole frame behind a damaged one and its damaged delimiter (SEED=${seed})`, () => {
    const random = new Seeded(seed);
    for (const [first, second] of [
      [1, 1],
      [3, 900],
      [700, 20],
      [5000, 5000],
    ] as const) {
      const frames = [first, second].map((size) => encodeFrame(random.bytes(size), crc).subarray(0, -1));
      const merged = Buffer.concat([frames[0]!, Uint8Array.of(1 << random.below(8)), frames[1]!]);
      for (const wrong of [0, random.below(frames[0]!.length)]) merged[wrong]! ^= 0x5a;
      expect(endOfFirst(merged)).to.equal(frames[0]!.length);
    }
  });

  it(`offers few candidates for noise, and none for what is too long or too short (SEED=${seed})`, () => {
    const random = new Seeded(seed);
    let offered = 0;
    for (let round = 0; round < 300; round++) {
      const noise = random.bytes(6 + random.below(400)).map((byte) => (byte === 0 ? 1 : byte));
      offered += [...repairs(noise, crc)].length;
    }
    expect(offered).to.be.below(10);
    expect([...repairs(new Uint8Array(5).fill(0x80), crc)]).to.deep.equal([]);
    expect([...repairs(new Uint8Array(70_000).fill(7), crc)]).to.deep.equal([]);
  });
});
