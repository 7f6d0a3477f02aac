import { expect } from 'chai';
import { CarrierWatch } from '../../../../src/transport/modem/carrier-watch.js';

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');

describe('the carrier in the bytes of a call', () => {
  it('is lost by the words of the modem, also in the middle of a frame and cut anywhere', () => {
    const text = 'half a fra\r\nNO CARRIER\r\n';
    for (let cut = 0; cut <= text.length; cut++) {
      const watch = new CarrierWatch(false);
      const first = watch.pass(bytes(text.slice(0, cut)));
      const second = watch.pass(bytes(text.slice(cut)));
      expect([first.lost || second.lost, first.lost && cut < text.length], `cut at ${cut}`).to.deep.equal([
        true,
        false,
      ]);
    }
    const watch = new CarrierWatch(false);
    const told = [...bytes(text)].map((byte) => watch.pass(Uint8Array.of(byte)).lost);
    expect(told.indexOf(true)).to.equal(text.length - 1);
  });

  it('is not lost by words that only resemble them', () => {
    const watch = new CarrierWatch(false);
    for (const text of ['NO CARRIER', '\r\nNO CARRIER', 'x', 'NO CARRIER\r\n', '\r\nNO ANSWER\r\n']) {
      expect(watch.pass(bytes(text)).lost, JSON.stringify(text)).to.equal(false);
    }
  });

  it('takes the LF that was still due off the first bytes, once', () => {
    const due = new CarrierWatch(true);
    expect(Buffer.from(due.pass(bytes('\n\nab')).bytes).toString()).to.equal('\nab');
    expect(Buffer.from(due.pass(bytes('\n')).bytes).toString()).to.equal('\n');
    expect(Buffer.from(new CarrierWatch(true).pass(bytes('ab')).bytes).toString()).to.equal('ab');
    expect(Buffer.from(new CarrierWatch(false).pass(bytes('\nab')).bytes).toString()).to.equal('\nab');
  });
});
