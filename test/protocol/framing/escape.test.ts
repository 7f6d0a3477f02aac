import { expect } from 'chai';
import { escapeBytes, Unescaper } from '../../../protocol/framing/escape.js';
import { Seeded, seedOfThisRun } from '../../support/seeded.js';

describe('escaping for a line that is not 8-bit clean', () => {
  const seed = seedOfThisRun();

  it('leaves none of the bytes that the line takes, and brings each byte back', () => {
    const all = Uint8Array.from({ length: 256 }, (_, byte) => byte);
    const escaped = escapeBytes(all);
    for (const byte of [0x11, 0x13, 0xff]) expect(escaped.includes(byte)).to.equal(false);
    expect(escaped.length).to.equal(260);
    expect(new Unescaper().push(escaped)).to.deep.equal(all);
  });

  it(`brings everything back however it is cut, with XON and XOFF put in anywhere (SEED=${seed})`, () => {
    const random = new Seeded(seed);
    for (let round = 0; round < 100; round++) {
      const bytes = random.bytes(random.below(2000));
      const unescaper = new Unescaper();
      const out: Uint8Array[] = [];
      const escaped = escapeBytes(bytes);
      for (let at = 0; at < escaped.length;) {
        const end = at + 1 + random.below(40);
        out.push(unescaper.push(escaped.subarray(at, end)));
        if (random.chance(0.3)) out.push(unescaper.push(Uint8Array.of(random.chance(0.5) ? 0x11 : 0x13)));
        at = end;
      }
      expect(Buffer.concat(out).equals(bytes)).to.equal(true);
    }
  });

  it('a delimiter stays one after an escape that noise has made', () => {
    expect(new Unescaper().push(Uint8Array.of(5, 0x7d, 0, 6))).to.deep.equal(Uint8Array.of(5, 0, 6));
  });
});
