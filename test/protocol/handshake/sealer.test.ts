import { expect } from 'chai';
import { ProtocolError } from '../../../protocol/errors.js';
import { encodeFrame } from '../../../protocol/framing/frame.js';
import { FRAMES_PER_KEY } from '../../../protocol/handshake/key-chain.js';
import { NUMBER_SPAN, Opener, SEAL_OVERHEAD, Sealer } from '../../../protocol/handshake/sealer.js';
import { crc32 } from 'node:zlib';
import { bytesOf, hexOf, vectors } from '../../support/vectors.js';

interface SealedCase {
  readonly key: string;
  readonly number: number;
  readonly content: string;
  readonly body: string;
  readonly frame: string;
}

const KEY = bytesOf('42'.repeat(32));
const text = Buffer.from('content');

function expectRefused(opener: Opener, body: Uint8Array): void {
  const before = opener.lastNumber;
  expect(() => opener.open(body))
    .to.throw(ProtocolError)
    .with.property('code', 'bad-seal');
  expect(opener.lastNumber).to.equal(before);
}

describe('sealed frame', () => {
  for (const { key, number, content, body, frame } of vectors('sealed') as readonly SealedCase[]) {
    it(`number ${number} is made and opened as by the independent script`, () => {
      const sealed = new Sealer(bytesOf(key), number).seal(bytesOf(content));
      expect(hexOf(sealed)).to.equal(body);
      expect(hexOf(encodeFrame(sealed, (bytes) => crc32(bytes)))).to.equal(frame);
      const opened = new Opener(bytesOf(key), number - 1).open(bytesOf(body));
      expect({ number: opened.number, content: hexOf(opened.plaintext) }).to.deep.equal({ number, content });
    });
  }

  it('is guessed at up to its damage without a key moving on, and whatever is guessed opens nothing', () => {
    const sealer = new Sealer(KEY);
    const opener = new Opener(KEY);
    sealer.seal(text);
    const body = sealer.seal(Buffer.from('the head and the tail'));
    const damaged = Uint8Array.from(body);
    damaged[14]! ^= 0x7f;
    const { number, plaintext } = opener.guess(damaged);
    expect({ number, head: Buffer.from(plaintext.subarray(0, 12)).toString() }).to.deep.equal({
      number: 1,
      head: 'the head and',
    });
    expectRefused(opener, damaged);
    expect(opener.lastNumber).to.equal(-1);
    expect(opener.open(body).number).to.equal(1);
    for (const short of [0, 1, SEAL_OVERHEAD - 1]) {
      expect(() => opener.guess(body.subarray(0, short)))
        .to.throw(ProtocolError)
        .with.property('code', 'bad-seal');
    }
  });

  it('adds eighteen bytes to its content', () => {
    expect(new Sealer(KEY).seal(text).length).to.equal(text.length + SEAL_OVERHEAD);
    expect(SEAL_OVERHEAD).to.equal(18);
  });

  it('is refused the second time, and when a later one came before it', () => {
    const sealer = new Sealer(KEY);
    const bodies = [0, 1, 2, 3].map(() => sealer.seal(text));
    const opener = new Opener(KEY);
    expect(opener.open(bodies[0]!).number).to.equal(0);
    expectRefused(opener, bodies[0]!);
    expect(opener.open(bodies[2]!).number).to.equal(2);
    expectRefused(opener, bodies[1]!);
    expectRefused(opener, bodies[2]!);
    expect(opener.open(bodies[3]!).number).to.equal(3);
  });

  it('is refused with any bit changed, header included, and under another key', () => {
    const body = new Sealer(KEY).seal(text);
    for (let bit = 0; bit < body.length * 8; bit++) {
      const damaged = Uint8Array.from(body);
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      expectRefused(new Opener(KEY), damaged);
    }
    expectRefused(new Opener(Buffer.alloc(32)), body);
    for (let length = 0; length < SEAL_OVERHEAD; length++)
      expectRefused(new Opener(KEY), body.subarray(0, length));
  });

  it('is understood after as many lost frames as the header can count, and not after one more', () => {
    const lost = (count: number): Uint8Array => new Sealer(KEY, count).seal(text);
    expect(new Opener(KEY).open(lost(NUMBER_SPAN - 1)).number).to.equal(NUMBER_SPAN - 1);
    expectRefused(new Opener(KEY), lost(NUMBER_SPAN));
  });

  it('changes its key at the turn of a generation, also when the frames around it are lost', () => {
    const turn = FRAMES_PER_KEY;
    const sealer = new Sealer(KEY, turn - 2);
    const bodies = [0, 1, 2, 3].map(() => sealer.seal(text));
    const through = new Opener(KEY, turn - 3);
    expect(bodies.map((body) => through.open(body).number)).to.deep.equal([
      turn - 2,
      turn - 1,
      turn,
      turn + 1,
    ]);
    const across = new Opener(KEY, turn - 3);
    expect(across.open(bodies[3]!).number).to.equal(turn + 1);
    expectRefused(across, bodies[2]!);
  });

  it('of the next generation that is forged does not move the receiver on', () => {
    const turn = FRAMES_PER_KEY;
    const opener = new Opener(KEY, turn - 3);
    const forged = new Sealer(Buffer.alloc(32), turn + 1).seal(text);
    expectRefused(opener, forged);
    expect(opener.open(new Sealer(KEY, turn - 2).seal(text)).number).to.equal(turn - 2);
  });
});
