import { expect } from 'chai';
import crc32Package from 'crc/calculators/crc32';
import { crc32 } from 'node:zlib';
import { ProtocolError } from '../../../protocol/errors.js';
import { decodeFrame, encodeFrame } from '../../../protocol/framing/frame.js';
import { FRAME_DELIMITER, MAX_ENCODED_FRAME, MAX_FRAME_BODY } from '../../../protocol/framing/limits.js';
import { Seeded, seedOfThisRun } from '../../support/seeded.js';
import { bytesOf, hexOf, vectors } from '../../support/vectors.js';

const crc = (bytes: Uint8Array): number => crc32(bytes);

function expectBad(frame: Uint8Array): void {
  expect(() => decodeFrame(frame, crc))
    .to.throw(ProtocolError)
    .with.property('code', 'bad-frame');
}

describe('frame', () => {
  const seed = seedOfThisRun();

  for (const { input, crc: value } of vectors('crc') as readonly { input: string; crc: number }[]) {
    it(`three makers of CRC-32 agree on ${input.length / 2} bytes`, () => {
      expect(crc(bytesOf(input))).to.equal(value);
      expect(crc32Package(bytesOf(input)) >>> 0).to.equal(value);
    });
  }

  for (const { name, body, frame } of vectors('frame') as readonly {
    name: string;
    body: string;
    frame: string;
  }[]) {
    it(`is made and read as by the independent script: ${name}`, () => {
      expect(hexOf(encodeFrame(bytesOf(body), crc))).to.equal(frame);
      expect(hexOf(decodeFrame(bytesOf(frame).subarray(0, -1), crc))).to.equal(body);
    });
  }

  it('has one zero, at its end, also when the checksum is zero', () => {
    const frame = encodeFrame(Buffer.alloc(300), () => 0);
    expect(frame.indexOf(FRAME_DELIMITER)).to.equal(frame.length - 1);
  });

  it('with any one bit flipped is refused', () => {
    const frame = encodeFrame(bytesOf('00112200334400556600'), crc).subarray(0, -1);
    for (let bit = 0; bit < frame.length * 8; bit++) {
      const damaged = Uint8Array.from(frame);
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      expectBad(damaged);
    }
  });

  it('cut short or run together with the next is refused', () => {
    const frame = encodeFrame(Buffer.from('some content'), crc).subarray(0, -1);
    for (let length = 0; length < frame.length; length++) expectBad(frame.subarray(0, length));
    expectBad(Buffer.concat([frame, frame]));
  });

  it('carries the longest body and not a byte more', () => {
    const longest = Buffer.alloc(MAX_FRAME_BODY, 1);
    const frame = encodeFrame(longest, crc);
    expect(frame.length - 1).to.equal(MAX_ENCODED_FRAME);
    expect(decodeFrame(frame.subarray(0, -1), crc).length).to.equal(MAX_FRAME_BODY);
    expect(() => encodeFrame(Buffer.alloc(MAX_FRAME_BODY + 1), crc)).to.throw(RangeError);
    expectBad(Buffer.alloc(MAX_ENCODED_FRAME + 1, 0x81));
  });

  it(`is refused when it is noise (SEED=${seed})`, () => {
    const random = new Seeded(seed);
    for (let i = 0; i < 2000; i++) {
      expectBad(random.bytes(random.below(60)).map((byte) => (byte === 0 ? 1 : byte)));
    }
  });
});
