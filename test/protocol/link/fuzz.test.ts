import { expect } from 'chai';
import { crc32 } from 'node:zlib';
import { ProtocolError } from '../../../protocol/errors.js';
import { encodeFrame } from '../../../protocol/framing/frame.js';
import { readPieces } from '../../../protocol/link/pieces.js';
import { FUZZ_CASES, fuzzTimeout } from '../../support/fuzz-cases.js';
import { NullModem } from '../../support/null-modem.js';
import { Seeded, seedOfThisRun } from '../../support/seeded.js';
import { expectReceived, randomParcel, runUntilHeld, stream } from './parcels.js';

const crc = (bytes: Uint8Array): number => crc32(bytes);

/** A frame changed a little, sealed with a right checksum now and then, so that it gets past the first door. */
function mutate(random: Seeded, frame: Uint8Array): Uint8Array {
  const bytes = Uint8Array.from(frame);
  switch (random.below(5)) {
    case 0:
      bytes[random.below(bytes.length)]! ^= 1 << random.below(8);
      return bytes;
    case 1:
      return bytes.subarray(0, random.below(bytes.length + 1));
    case 2:
      return random.bytes(random.below(400));
    case 3:
      return encodeFrame(random.bytes(random.below(120)), crc).subarray(0, -1);
    default: {
      const body = random.bytes(1 + random.below(200));
      body[0] = 1 + random.below(2);
      return encodeFrame(body, crc).subarray(0, -1);
    }
  }
}

describe('fuzz', () => {
  const seed = seedOfThisRun();

  it(`${FUZZ_CASES} random, changed, cut and played-back frames change nothing in a session (SEED=${seed})`, () => {
    const random = new Seeded(seed);
    const recorded: Uint8Array[] = [];
    const tap = (frame: Uint8Array): Uint8Array[] => {
      if (recorded.length < 200) recorded.push(frame);
      return [frame];
    };
    const modem = new NullModem({ seed, line: { baud: 57600, latency: 10 }, out: { tap }, back: { tap } });
    const parcel = randomParcel(modem, 100_000);
    stream(modem, parcel);
    for (let i = 0; i < FUZZ_CASES; i++) {
      const victim = random.chance(0.5) ? modem.primary : modem.backup;
      const model = recorded.length === 0 ? new Uint8Array(8) : random.pick(recorded);
      victim.link.handleFrame(modem.now, random.chance(0.1) ? model : mutate(random, model));
      victim.drain(modem.now);
      if (i % 100 === 0) modem.runFor(5);
    }
    runUntilHeld(modem);
    expectReceived(modem, parcel);
    for (const station of [modem.primary, modem.backup]) {
      expect(station.of('closed')).to.deep.equal([]);
      expect(station.of('replaced')).to.deep.equal([]);
      expect(station.of('established')).to.have.length(1);
    }
  }).timeout(fuzzTimeout());

  it(`${FUZZ_CASES} random contents of a sealed frame are read or refused (SEED=${seed})`, () => {
    const random = new Seeded(seed);
    let read = 0;
    for (let i = 0; i < FUZZ_CASES; i++) {
      const content = random.bytes(random.below(40));
      if (content.length > 0 && random.chance(0.9)) content[0] = 1 + random.below(10);
      try {
        readPieces(content);
        read++;
      } catch (error) {
        expect(error).to.be.instanceOf(ProtocolError);
      }
    }
    expect(read).to.be.above(0);
  }).timeout(fuzzTimeout());
});
