import { expect } from 'chai';
import { ProtocolError } from '../../../protocol/errors.js';
import { generateKeyPair, publicKeyOf } from '../../../protocol/handshake/keys.js';
import { call, readCall } from '../../../protocol/handshake/noise-ik.js';
import { peerRoleOf, prologue, type Role } from '../../../protocol/handshake/roles.js';
import { Seeded } from '../../support/seeded.js';
import { bytesOf, hexOf, vectors } from '../../support/vectors.js';

interface Transcript {
  readonly prologue: string;
  readonly callerSecret: string;
  readonly callerEphemeral: string;
  readonly answererSecret: string;
  readonly answererEphemeral: string;
  readonly hello: string;
  readonly answer: string;
  readonly call: string;
  readonly reply: string;
  readonly callerKey: string;
  readonly answererKey: string;
}

const pairOf = (secret: string): { secretKey: Uint8Array; publicKey: Uint8Array } => ({
  secretKey: bytesOf(secret),
  publicKey: publicKeyOf(bytesOf(secret)),
});

const seeded = new Seeded(1);
const random = (count: number): Uint8Array => seeded.bytes(count);
const caller = generateKeyPair(random);
const answerer = generateKeyPair(random);
const hello = Buffer.from('hello');

function expectRefused(role: Role, bytes: Uint8Array, accept = true): void {
  expect(() => readCall(role, answerer, () => accept, bytes))
    .to.throw(ProtocolError)
    .with.property('code', accept ? 'bad-handshake' : 'unknown-peer');
}

describe('handshake', () => {
  for (const transcript of vectors('handshake') as readonly Transcript[]) {
    const role = (['primary', 'backup'] as const).find(
      (candidate) => hexOf(prologue(candidate, peerRoleOf(candidate))) === transcript.prologue,
    ) as Role;

    it(`goes as the independent script wrote it down, called by the ${role}`, () => {
      const calling = pairOf(transcript.callerSecret);
      const called = pairOf(transcript.answererSecret);
      const made = call(role, calling, called.publicKey, bytesOf(transcript.hello), () =>
        bytesOf(transcript.callerEphemeral),
      );
      expect(hexOf(made.bytes)).to.equal(transcript.call);
      const read = readCall(peerRoleOf(role), called, () => true, made.bytes);
      expect(hexOf(read.payload)).to.equal(transcript.hello);
      const answered = read.answer(bytesOf(transcript.answer), () => bytesOf(transcript.answererEphemeral));
      expect(hexOf(answered.bytes)).to.equal(transcript.reply);
      const { keys, payload } = made.read(answered.bytes);
      expect(hexOf(payload)).to.equal(transcript.answer);
      expect([hexOf(keys.send), hexOf(keys.receive)]).to.deep.equal([
        transcript.callerKey,
        transcript.answererKey,
      ]);
      expect([hexOf(answered.keys.receive), hexOf(answered.keys.send)]).to.deep.equal([
        transcript.callerKey,
        transcript.answererKey,
      ]);
    });
  }

  it('is not spoilt by a wrong answer before the right one', () => {
    const made = call('primary', caller, answerer.publicKey, hello, random);
    const good = readCall('backup', answerer, () => true, made.bytes).answer(Buffer.from('yes'), random);
    const wrong = Uint8Array.from(good.bytes);
    wrong[40]! ^= 1;
    expect(() => made.read(wrong))
      .to.throw(ProtocolError)
      .with.property('code', 'bad-handshake');
    expect(() => made.read(new Uint8Array(3))).to.throw(ProtocolError);
    expect(String(Buffer.from(made.read(good.bytes).payload))).to.equal('yes');
  });

  it('asks about the key that the caller has proved, and refuses a stranger before any answer', () => {
    const made = call('primary', caller, answerer.publicKey, hello, random);
    const asked: string[] = [];
    expect(() => readCall('backup', answerer, (key) => asked.push(hexOf(key)) === 0, made.bytes)).to.throw();
    expect(asked).to.deep.equal([hexOf(caller.publicKey)]);
    expectRefused('backup', made.bytes, false);
  });

  it('finds no common key when both have the same role', () => {
    expectRefused('backup', call('backup', caller, answerer.publicKey, hello, random).bytes);
    expectRefused('primary', call('primary', caller, answerer.publicKey, hello, random).bytes);
  });

  it('refuses a call to another key, a damaged, a cut, and an empty one', () => {
    expectRefused('backup', call('primary', caller, caller.publicKey, hello, random).bytes);
    const { bytes } = call('primary', caller, answerer.publicKey, hello, random);
    for (const at of [0, 33, bytes.length - 1]) {
      const damaged = Uint8Array.from(bytes);
      damaged[at]! ^= 0x10;
      expectRefused('backup', damaged);
    }
    for (const length of [0, 1, 32, 90, bytes.length - 1]) expectRefused('backup', bytes.subarray(0, length));
  });

  it('refuses an ephemeral key of low order', () => {
    expectRefused('backup', new Uint8Array(200));
  });
});
