import { expect } from 'chai';
import { crc32 } from 'node:zlib';
import { decodeFrame, encodeFrame } from '../../../protocol/framing/frame.js';
import { generateKeyPair } from '../../../protocol/handshake/keys.js';
import { NullModem } from '../../support/null-modem.js';
import { seedOfThisRun } from '../../support/seeded.js';
import { expectReceived, randomParcel, runUntilHeld, stream } from './parcels.js';

const crc = (bytes: Uint8Array): number => crc32(bytes);
const line = { baud: 57600, latency: 20 };

describe('session', () => {
  const seed = seedOfThisRun();

  it('a stranger gets no byte, and gives up', () => {
    const asked: number[] = [];
    const modem = new NullModem({
      seed,
      line,
      backup: {
        acceptPeer: () => false,
        answer: () => {
          asked.push(1);
          return new Uint8Array();
        },
      },
    });
    modem.runUntil(() => modem.primary.link.state === 'closed', 60_000);
    expect(modem.primary.of('closed').map(({ reason }) => reason)).to.deep.equal(['no-answer']);
    expect(modem.back.bytes).to.equal(0);
    expect(asked).to.deep.equal([]);
    expect(modem.backup.link.stats.handshakesRefused).to.be.above(2);
    expect(modem.backup.events.filter(({ kind }) => kind !== 'stranger')).to.deep.equal([]);
  });

  it('a caller of the same role gets no byte', () => {
    const modem = new NullModem({ seed, line, backup: { role: 'primary' } });
    modem.runUntil(() => modem.primary.link.state === 'closed', 60_000);
    expect(modem.back.bytes).to.equal(0);
  });

  it('a caller that wants another key gets no byte', () => {
    const other = generateKeyPair((count) => new Uint8Array(count).fill(9));
    const modem = new NullModem({ seed, line, primary: { peerKey: other.publicKey } });
    modem.runUntil(() => modem.primary.link.state === 'closed', 60_000);
    expect(modem.back.bytes).to.equal(0);
  });

  it('a caller whose hello is refused above gets no byte', () => {
    const modem = new NullModem({ seed, line, backup: { answer: () => undefined } });
    modem.runUntil(() => modem.primary.link.state === 'closed', 60_000);
    expect(modem.back.bytes).to.equal(0);
  });

  it('noise before the call and between the frames disturbs nothing', () => {
    const modem = new NullModem({ seed, line });
    for (let i = 0; i < 200; i++)
      modem.backup.link.handleFrame(modem.now, modem.random.bytes(1 + modem.random.below(300)));
    modem.drive();
    expect(modem.backup.link.state).to.equal('established');
    expect(modem.backup.link.stats.framesDamaged).to.equal(200);
  });

  it('strangers make a pause that grows to a minute, and a known caller who comes through ends it', () => {
    const modem = new NullModem({ seed, line });
    modem.out.settings.stuck = true;
    modem.runFor(1000);
    modem.primary.link.close('done');
    const pauses = (): number[] => modem.backup.of('stranger').map(({ pause }) => pause);
    const knock = (): void => {
      const stranger = modem.newLink('primary', { keys: generateKeyPair(modem.randomBytes) });
      const call = stranger.pollTransmit(modem.now) as Uint8Array;
      modem.backup.link.handleFrame(modem.now, call.subarray(1, -1));
      modem.backup.drain(modem.now);
    };
    for (let n = 0; n < 300; n++) {
      knock();
      modem.runFor(1000);
    }
    expect(pauses().slice(0, 4)).to.deep.equal([500, 1000, 2000, 4000]);
    expect(pauses().at(-1)).to.equal(60_000);
    expect(pauses().length, 'calls read in five minutes').to.be.below(12);
    expect(modem.back.bytes).to.equal(0);

    modem.runFor(60_000);
    modem.out.settings.stuck = false;
    modem.primary.link = modem.newLink('primary');
    modem.runUntil(() => modem.backup.of('established').length > 0, 10_000);
  });

  it('noise, also what was a call before it was damaged, makes no pause', () => {
    const modem = new NullModem({ seed, line });
    const call = modem.newLink('primary').pollTransmit(modem.now) as Uint8Array;
    for (let n = 0; n < 200; n++) {
      const damaged = Uint8Array.from(call.subarray(1, -1));
      for (let flips = 0; flips < 4; flips++)
        damaged[modem.random.below(damaged.length)]! ^= 1 << modem.random.below(8);
      modem.backup.link.handleFrame(modem.now, damaged);
    }
    modem.drive();
    expect(modem.backup.of('stranger')).to.deep.equal([]);
    expect(modem.backup.link.state).to.equal('established');
  });

  it('on a network strangers make no pause: a real peer gets in while they knock', () => {
    const modem = new NullModem({ seed, line: { latency: 20 } });
    const stranger = modem.newLink('primary', { keys: generateKeyPair(modem.randomBytes) });
    const call = stranger.pollTransmit(modem.now) as Uint8Array;
    for (let n = 0; n < 20; n++) modem.backup.link.handleFrame(modem.now, call.subarray(0, -1));
    modem.runUntil(() => modem.backup.of('established').length > 0, 1000);
    expect(modem.backup.of('stranger')).to.deep.equal([]);
  });

  it('the call is repeated byte for byte until it is answered, and makes one session', () => {
    const modem = new NullModem({ seed, line });
    modem.out.settings.stuck = true;
    modem.runFor(6000);
    modem.out.settings.stuck = false;
    modem.back.settings.stuck = true;
    modem.runFor(6000);
    modem.back.settings.stuck = false;
    modem.drive();
    expect(modem.primary.of('established')).to.have.length(1);
    expect(modem.backup.of('established')).to.have.length(1);
    expect(modem.backup.of('replaced')).to.deep.equal([]);
  });

  it('a recorded call played before, within and after the real one makes no session and breaks none', () => {
    const recorded: Uint8Array[] = [];
    const earlier = new NullModem({
      seed,
      line,
      out: {
        tap: (frame) => {
          recorded.push(frame);
          return [frame];
        },
      },
    });
    earlier.primary.link.sendMessage(Buffer.from('from an earlier session'));
    earlier.drive();

    const modem = new NullModem({ seed: seed + 1, line, keys: earlier.keys });
    const play = (): void => {
      for (const frame of recorded) modem.backup.link.handleFrame(modem.now, frame);
      modem.backup.drain(modem.now);
    };
    play();
    expect(modem.backup.link.state).to.equal('handshaking');
    modem.runUntil(() => modem.back.frames > 1);
    play();
    modem.drive();
    play();
    modem.runFor(5000);
    play();
    modem.primary.link.sendMessage(Buffer.from('real'));
    modem.drive();
    expect(modem.backup.messages.map((bytes) => Buffer.from(bytes).toString())).to.deep.equal(['real']);
    expect(modem.backup.of('replaced')).to.deep.equal([]);
    expect(modem.backup.of('established')).to.have.length(1);
  });

  it('a late copy of the call that made the session is not answered', () => {
    const recorded: Uint8Array[] = [];
    const tap = (frame: Uint8Array): Uint8Array[] => {
      recorded.push(frame);
      return [frame];
    };
    const modem = new NullModem({ seed, line, out: { tap } });
    modem.drive();
    modem.runFor(5000);
    const before = modem.back.bytes;
    modem.backup.link.handleFrame(modem.now, recorded[0]!);
    modem.drive();
    expect(modem.back.bytes).to.equal(before);
  });

  it('a restarted caller replaces its old session on the same line, and the old one ends', () => {
    const modem = new NullModem({ seed, line });
    stream(modem, randomParcel(modem, 200_000));
    modem.runFor(5000);
    const old = modem.backup.link;
    modem.primary.link = modem.newLink('primary');
    modem.backup.events.length = 0;
    modem.runUntil(() => modem.backup.of('replaced').length > 0, 5000);
    expect(old.state).to.equal('closed');
    expect(modem.backup.link.state).to.equal('established');
    const parcel = randomParcel(modem, 20_000);
    stream(modem, parcel);
    modem.primary.events.length = 0;
    runUntilHeld(modem);
    expectReceived(modem, parcel);
    expect(modem.backup.of('established')).to.have.length(1);
  });

  it("when both call at once the primary's call wins, and there is one session", () => {
    const modem = new NullModem({
      seed,
      line,
      primary: { acceptPeer: () => true, answer: () => Buffer.from('answer of the primary') },
    });
    const hello = Buffer.from('call of the backup');
    modem.backup.link = modem.newLink('backup', {
      initiator: true,
      peerKey: modem.keys.primary.publicKey,
      hello,
    });
    modem.primary.link.sendMessage(Buffer.from('one'));
    modem.backup.link.sendMessage(Buffer.from('two'));
    modem.runFor(10_000);
    const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
    expect(modem.primary.of('established').map(({ hello }) => text(hello))).to.deep.equal([
      'hello from the backup',
    ]);
    expect(modem.backup.of('established').map(({ hello }) => text(hello))).to.deep.equal([
      'hello from the primary',
    ]);
    expect(modem.backup.messages.map(text)).to.deep.equal(['one']);
    expect(modem.primary.messages.map(text)).to.deep.equal(['two']);
    expect([...modem.primary.of('replaced'), ...modem.backup.of('replaced')]).to.deep.equal([]);
  });

  it('ends on both sides when one closes it, with the reason, and wants nothing any more', () => {
    const modem = new NullModem({ seed, line });
    modem.drive();
    modem.primary.link.close('shutdown');
    modem.drive();
    expect(modem.primary.of('closed')).to.deep.equal([
      { kind: 'closed', reason: 'closed-here', why: 'shutdown' },
    ]);
    expect(modem.backup.of('closed')).to.deep.equal([
      { kind: 'closed', reason: 'closed-by-peer', why: 'shutdown' },
    ]);
    for (const { link } of [modem.primary, modem.backup]) {
      expect(link.pollTimeout()).to.equal(undefined);
      expect(link.pollTransmit(modem.now)).to.equal(undefined);
    }
  });

  it('notices within the stated time that an idle peer is gone', () => {
    for (const side of ['primary', 'backup'] as const) {
      const modem = new NullModem({ seed, line });
      modem.drive();
      modem.out.settings.stuck = true;
      modem.back.settings.stuck = true;
      modem.runUntil(() => modem[side].link.state === 'closed', 130_000);
      expect(modem[side].of('closed').map(({ reason }) => reason)).to.deep.equal(['peer-silent']);
    }
  });

  it('gives up a peer although the line takes nothing any more', () => {
    const modem = new NullModem({ seed, line });
    modem.drive();
    const { link } = modem.primary;
    link.sendMessage(Buffer.from('never pulled'));
    for (let at = link.pollTimeout(); at !== undefined; at = link.pollTimeout()) link.handleTimeout(at);
    expect(link.state).to.equal('closed');
  });

  it('a valid frame whose content breaks the rules ends it, and says so to the peer', () => {
    const broken = new NullModem({ seed, line });
    broken.drive();
    // The two do not agree on the parcel's length: to the backup its segments reach beyond the end.
    const parcel = randomParcel(broken, 500);
    broken.backup.link.expectParcel(parcel.id, 100, []);
    broken.primary.link.sendParcel(parcel.id, parcel.bytes, []);
    broken.drive();
    expect(broken.backup.of('closed').map(({ reason }) => reason)).to.deep.equal(['protocol-violation']);
    expect(broken.primary.of('closed').map(({ reason, why }) => [reason, why])).to.deep.equal([
      ['closed-by-peer', 'failed'],
    ]);
  });

  it('frames of good form that are none of its own are counted and change nothing', () => {
    const modem = new NullModem({ seed, line });
    modem.drive();
    const frame = encodeFrame(Buffer.concat([Buffer.of(0x80, 0x05), modem.random.bytes(40)]), crc).subarray(
      0,
      -1,
    );
    expect(decodeFrame(frame, crc).length).to.equal(42);
    modem.backup.link.handleFrame(modem.now, frame);
    expect(modem.backup.link.stats.framesRejected).to.equal(1);
    expect(modem.backup.link.state).to.equal('established');
  });
});
