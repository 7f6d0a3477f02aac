import { expect } from 'chai';
import fc from 'fast-check';
import { millis, type Millis } from '../../../../protocol/units.js';
import { TransportError } from '../../../../src/transport/errors.js';
import { answering, makeReady } from '../../../../src/transport/modem/answering.js';
import { calling } from '../../../../src/transport/modem/calling.js';
import { Dialogue, type Script } from '../../../../src/transport/modem/dialogue.js';
import { hangUp } from '../../../../src/transport/modem/hanging-up.js';
import { seedOfThisRun } from '../../../support/seeded.js';

const NO_BYTES: number[] = [];

/** A dialogue, what it has said, and a virtual time that only this test moves. */
class Talk<T> {
  readonly said: string[] = [];
  readonly dialogue: Dialogue<T>;
  now: Millis = millis(0);

  constructor(script: (now: Millis) => Script<T>) {
    this.dialogue = new Dialogue(script(this.now));
    this.#listen();
  }

  /** The modem says this. */
  hears(text: string): this {
    this.dialogue.handleBytes(this.now, Buffer.from(text, 'latin1'));
    this.#listen();
    return this;
  }

  /** Nothing is heard until the dialogue has waited long enough for its next step. */
  waits(): this {
    const at = this.dialogue.pollTimeout();
    if (at === undefined) throw new Error('it waits for ever');
    this.now = at;
    this.dialogue.handleTimeout(at);
    this.#listen();
    return this;
  }

  get value(): T {
    const { outcome } = this.dialogue;
    if (outcome?.kind !== 'done') throw new Error(`no value: ${JSON.stringify(outcome)}`);
    return outcome.value;
  }

  get error(): TransportError {
    const { outcome } = this.dialogue;
    if (outcome?.kind !== 'failed' || !(outcome.error instanceof TransportError)) {
      throw new Error(`no error: ${JSON.stringify(outcome)}`);
    }
    return outcome.error;
  }

  #listen(): void {
    for (let text = this.dialogue.pollTransmit(); text !== undefined;) {
      this.said.push(text);
      text = this.dialogue.pollTransmit();
    }
  }
}

const CALL = { device: '/dev/m', init: null, number: '555', connectMs: 90_000 };
const PORT = { device: '/dev/m', init: null, answerAfter: 2 };
const dialled = (): Talk<{ readonly bitsPerSecond: number | null }> =>
  new Talk((now) => calling(now, CALL)).hears('AT&F\r\r\nOK\r\n').hears('\r\nOK\r\n');

describe('dialling', () => {
  it('sets the modem up, dials, and hands on what follows CONNECT', () => {
    const talk = dialled();
    expect(talk.said).to.deep.equal(['AT&F\r', 'ATE0V1&C1&D2S0=0\r', 'ATDT555\r']);
    talk.hears('\r\nRINGING\r\n\r\nCARRIER 14400\r\n').hears('\r\nCONNECT 14400\r');
    expect(talk.value.bitsPerSecond).to.equal(14_400);
    expect(talk.dialogue.remainder).to.deep.equal({ bytes: new Uint8Array(NO_BYTES), lineFeedDue: true });
    const atOnce = dialled().hears('\r\nCONNECT\r\nabc\0');
    expect(Buffer.from(atOnce.dialogue.remainder.bytes).toString('latin1')).to.equal('abc\0');
    expect(atOnce.dialogue.remainder.lineFeedDue).to.equal(false);
  });

  const refusals: readonly (readonly [string, string, boolean])[] = [
    ['BUSY', 'busy', true],
    ['NO ANSWER', 'no-answer', true],
    ['NO CARRIER', 'no-carrier', true],
    ['NO DIALTONE', 'no-dialtone', true],
    ['DELAYED', 'barred', false],
    ['BLACKLISTED', 'barred', false],
    ['ERROR', 'modem-error', false],
  ];
  for (const [said, code, retryable] of refusals) {
    it(`fails with ${code} on ${said}, with a hint`, () => {
      const { error } = dialled().hears(`\r\n${said}\r\n`);
      expect([error.code, error.retryable]).to.deep.equal([code, retryable]);
      expect(error.message).to.match(/^\/dev\/m: /);
      expect(error.hint).to.be.a('string');
    });
  }

  it('cancels a call that nobody takes', () => {
    const talk = dialled().waits();
    expect(talk.now).to.be.at.least(90_000);
    expect(talk.said.at(-1)).to.equal('\r');
    expect(talk.hears('\r\nNO CARRIER\r\n').error.code).to.equal('no-answer');
  });

  it('hangs up a call that comes up while it is being cancelled', () => {
    const talk = dialled().waits().hears('\r\nCONNECT 9600\r\n').waits().waits();
    expect(talk.said.at(-1)).to.equal('+++');
    talk.hears('\r\nOK\r\n');
    expect(talk.said.at(-1)).to.equal('ATH\r');
    expect(talk.hears('\r\nOK\r\n').error.code).to.equal('no-answer');
  });

  it('does not take an incoming call for its own', () => {
    const talk = new Talk((now) => calling(now, CALL)).hears('\r\nRING\r\n');
    expect([talk.error.code, talk.error.retryable]).to.deep.equal(['busy', true]);
  });

  it('is told of a modem that is silent, or that speaks at another speed', () => {
    const silent = new Talk((now) => calling(now, CALL));
    while (silent.dialogue.outcome === undefined) silent.waits();
    expect(silent.error.code).to.equal('no-modem');
    expect(silent.error.hint).to.match(/is it on/);
    expect(silent.now).to.be.lessThan(20_000);
    const garbled = new Talk((now) => calling(now, CALL)).hears('x~x~\r');
    while (garbled.dialogue.outcome === undefined) garbled.waits();
    expect(garbled.error.hint).to.match(/baud rate/);
    expect(garbled.error.message).to.contain('x~x~');
  });

  it('gets a modem out of the call that a killed process has left', () => {
    const talk = new Talk((now) => calling(now, CALL)).waits();
    talk.waits().waits();
    expect(talk.said).to.deep.equal(['AT&F\r', '+++']);
    talk.hears('\r\nOK\r\n').hears('\r\nOK\r\n').hears('\r\nOK\r\n');
    expect(talk.said.slice(2)).to.deep.equal(['ATH\r', 'AT&F\r', 'ATE0V1&C1&D2S0=0\r']);
  });

  it('names the command that the modem does not know', () => {
    const call = { ...CALL, init: ['ATZ', 'AT+NOSUCH'] };
    const talk = new Talk((now) => calling(now, call)).hears('OK\r\n').hears('ERROR\r\n').hears('ERROR\r\n');
    expect(talk.error.code).to.equal('modem-error');
    expect(talk.error.message).to.contain('AT+NOSUCH');
  });

  it('understands a modem that answers in digits until it is told to use words', () => {
    const talk = new Talk((now) => calling(now, { ...CALL, init: ['ATZ'] })).hears('0\r').hears('\r\nOK\r\n');
    expect(talk.said).to.deep.equal(['ATZ\r', 'ATE0V1\r', 'ATDT555\r']);
  });
});

describe('answering', () => {
  it('takes the call after so many rings', () => {
    const talk = new Talk((now) => answering(now, PORT));
    expect(talk.dialogue.engaged).to.equal(false);
    talk.hears('\r\nRING\r\n');
    expect(talk.dialogue.engaged).to.equal(true);
    expect(talk.said).to.deep.equal([]);
    talk.hears('\r\nNMBR = 100\r\n\r\nRING\r\n');
    expect(talk.said).to.deep.equal(['ATA\r']);
    expect(talk.hears('\r\nCONNECT 2400\r\n').value.bitsPerSecond).to.equal(2400);
  });

  it('counts anew when the caller has given up', () => {
    const talk = new Talk((now) => answering(now, PORT)).hears('\r\nRING\r\n').waits();
    expect(talk.dialogue.engaged).to.equal(false);
    expect(talk.now).to.be.within(6000, 15_000);
    talk.hears('\r\nRING\r\n');
    expect(talk.said).to.deep.equal([]);
    expect(talk.hears('\r\nRING\r\n').said).to.deep.equal(['ATA\r']);
  });

  it('waits for the next call when this one comes to nothing', () => {
    const talk = new Talk((now) => answering(now, PORT))
      .hears('RING\r\nRING\r\n')
      .hears('\r\nNO CARRIER\r\n');
    expect([talk.dialogue.outcome, talk.dialogue.engaged]).to.deep.equal([undefined, false]);
    expect(talk.hears('RING\r\nRING\r\n').said).to.deep.equal(['ATA\r', 'ATA\r']);
    // Neither CONNECT nor NO CARRIER: it is given up.
    talk.waits();
    expect(talk.said.at(-1)).to.equal('\r');
    talk.waits().waits();
    expect([talk.dialogue.outcome, talk.dialogue.engaged]).to.deep.equal([undefined, false]);
  });

  it('is content with a modem that answers by itself', () => {
    expect(
      new Talk((now) => answering(now, PORT)).hears('RING\r\n').hears('CONNECT 1200\r\n').value.bitsPerSecond,
    ).to.equal(1200);
  });

  it('notices an idle modem that has died, and sets up anew one that was off', () => {
    const talk = new Talk((now) => answering(now, PORT)).waits();
    expect(talk.said).to.deep.equal(['AT&F\r']);
    talk.hears('OK\r\n').hears('OK\r\n');
    expect(talk.dialogue.outcome).to.equal(undefined);
    while (talk.dialogue.outcome === undefined) talk.waits();
    expect(talk.error.code).to.equal('no-modem');
  });

  it('is not confused by a ring while the modem is set up', () => {
    const talk = new Talk((now) => makeReady(now, PORT))
      .hears('RING\r\nOK\r\n')
      .hears('RING\r\n')
      .hears('OK\r\n');
    expect(talk.dialogue.outcome?.kind).to.equal('done');
  });
});

describe('hanging up by text', () => {
  it('is silent before and after the escape, and waits for what is still queued', () => {
    const talk = new Talk((now) => hangUp(now, 700));
    expect(talk.said).to.deep.equal([]);
    talk.waits().waits();
    expect([talk.now >= 1700, talk.said]).to.deep.equal([true, ['+++']]);
    const escapedAt = talk.now;
    talk.hears('noise of a frame\0\r\nOK\r\n');
    expect(talk.said).to.deep.equal(['+++', 'ATH\r']);
    expect(talk.now).to.equal(escapedAt);
    expect(talk.hears('\r\nOK\r\n').value.onHook).to.equal(true);
  });

  it('tries again, and gives up after three times', () => {
    const talk = new Talk((now) => hangUp(now, 0));
    while (talk.dialogue.outcome === undefined) talk.waits();
    expect(talk.value.onHook).to.equal(false);
    expect(talk.said.filter((each) => each === '+++')).to.have.length(3);
  });
});

describe('a modem that says anything at all', () => {
  const words = [
    'OK',
    'CONNECT 9600',
    'RING',
    'BUSY',
    'NO CARRIER',
    'ERROR',
    'NO ANSWER',
    'x\xff',
    '\r',
    '\n',
    'AT',
  ];
  const event = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(...words).map((word) => `\r\n${word}\r\n`) },
    { weight: 1, arbitrary: fc.string({ maxLength: 30 }) },
    { weight: 3, arbitrary: fc.constant(null) },
  );
  const scripts: readonly (readonly [string, (now: Millis) => Script<unknown>])[] = [
    ['is dialled on', (now) => calling(now, CALL)],
    ['answers', (now) => answering(now, PORT)],
    ['is hung up', (now) => hangUp(now, 100)],
  ];
  for (const [what, script] of scripts) {
    it(`and ${what}: ends well or with an error of its own, and in bounded time`, () => {
      const seed = seedOfThisRun();
      console.log(`      SEED=${seed}`);
      fc.assert(
        fc.property(fc.array(event, { maxLength: 60 }), (events) => {
          const talk = new Talk(script);
          for (const each of events) {
            if (talk.dialogue.outcome !== undefined) break;
            if (each === null) talk.waits();
            else talk.hears(each);
          }
          // From here on it is silent: only the one that answers may go on, until it finds the modem dead.
          while (talk.dialogue.outcome === undefined) talk.waits();
          expect(talk.now).to.be.lessThan(60 * 11 * 60_000);
          const { outcome } = talk.dialogue;
          if (outcome.kind === 'failed') expect(outcome.error).to.be.instanceOf(TransportError);
        }),
        { seed, numRuns: 300 },
      );
    });
  }
});
