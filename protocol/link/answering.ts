import { ProtocolError } from '../errors.js';
import { readCall, type SessionKeys } from '../handshake/noise-ik.js';
import { Opener } from '../handshake/sealer.js';
import type { Millis } from '../units.js';
import { ANSWER_TYPE, CALL_TYPE } from './handshake-frame.js';
import { MAX_HELLO, MAX_PENDING_CALLS, MIN_CALL_INTERVAL, STRANGER_PAUSE } from './limits.js';
import type { LinkOptions } from './link-options.js';

/** A call that was answered; its first sealed frame will show that the caller is there. */
interface PendingCall {
  readonly call: Uint8Array;
  readonly answer: Uint8Array;
  readonly peerKey: Uint8Array;
  readonly hello: Uint8Array;
  readonly keys: SessionKeys;
  readonly opener: Opener;
}

/** A session whose caller has proved to be there, and its first frame. */
export interface Confirmed {
  readonly call: Uint8Array;
  readonly peerKey: Uint8Array;
  readonly hello: Uint8Array;
  readonly keys: SessionKeys;
  readonly opener: Opener;
  readonly frame: number;
  readonly content: Uint8Array;
}

/**
 * The responder's half of the handshake. A recorded call can be played again by anybody, so a call makes a session only
 * with the first sealed frame; until then a few calls are pending beside each other. The same call again gets the
 * same answer again.
 */
export class Answering {
  readonly #options: LinkOptions;
  readonly #acceptPeer: (peerKey: Uint8Array) => boolean;
  readonly #answer: (peerKey: Uint8Array, hello: Uint8Array) => Uint8Array | undefined;
  readonly #pending: PendingCall[] = [];
  #toSend: Uint8Array | undefined;
  #lastNewCall = -Infinity;
  #strangers = 0;
  #deafUntil = -Infinity;
  /** The call that made the present session; a late copy of it means nothing. */
  #settledCall: Uint8Array | undefined;

  /** undefined when the options do not allow to be called. */
  static from(options: LinkOptions): Answering | undefined {
    const { acceptPeer, answer } = options;
    return acceptPeer === undefined || answer === undefined
      ? undefined
      : new Answering(options, acceptPeer, answer);
  }

  private constructor(
    options: LinkOptions,
    acceptPeer: NonNullable<LinkOptions['acceptPeer']>,
    answer: NonNullable<LinkOptions['answer']>,
  ) {
    this.#options = options;
    this.#acceptPeer = acceptPeer;
    this.#answer = answer;
  }

  /** The present session came from this call. */
  settle(call: Uint8Array): void {
    this.#settledCall = call;
  }

  /** An answer to be sent. */
  transmit(): Uint8Array | undefined {
    const answer = this.#toSend;
    this.#toSend = undefined;
    return answer;
  }

  /**
   * A handshake frame. `inSession`: calls are answered at a bounded rate. Throws `bad-handshake` or `unknown-peer`, and
   * then nothing is sent; `paused` when the frame was not even looked at.
   */
  handleCall(now: Millis, body: Uint8Array, inSession: boolean): void {
    if (body[0] !== CALL_TYPE) throw refused('not a call');
    if (this.#settledCall !== undefined && Buffer.compare(this.#settledCall, body) === 0) return;
    const known = this.#pending.find((pending) => Buffer.compare(pending.call, body) === 0);
    if (known !== undefined) {
      this.#toSend = known.answer;
      return;
    }
    if (now < this.#deafUntil)
      throw new ProtocolError('paused', 'handshake: no call is read after strangers');
    if (inSession && now - this.#lastNewCall < MIN_CALL_INTERVAL) throw refused('too many calls');
    const { role, keys, randomBytes } = this.#options;
    const caller = readCall(role, keys, this.#acceptPeer, body.subarray(1));
    this.#lastNewCall = now;
    this.#strangers = 0;
    if (caller.payload.length > MAX_HELLO) throw refused('hello too long');
    const payload = this.#answer(caller.peerKey, caller.payload);
    if (payload === undefined) throw refused('not answered');
    if (payload.length > MAX_HELLO) throw new RangeError(`answer of ${payload.length} bytes`);
    const { bytes, keys: sessionKeys } = caller.answer(payload, randomBytes);
    const answer = Buffer.concat([Uint8Array.of(ANSWER_TYPE), bytes]);
    this.#pending.push({
      call: Uint8Array.from(body),
      answer,
      peerKey: caller.peerKey,
      hello: caller.payload,
      keys: sessionKeys,
      opener: new Opener(sessionKeys.receive),
    });
    if (this.#pending.length > MAX_PENDING_CALLS) this.#pending.shift();
    this.#toSend = answer;
  }

  /** A frame without damage was a call of nobody known. Returns for how long no call is read now, ms. */
  pause(now: Millis): number {
    const pause = Math.min(STRANGER_PAUSE.longest, STRANGER_PAUSE.first * 2 ** this.#strangers++);
    this.#deafUntil = now + pause;
    return pause;
  }

  /** A sealed frame that the present session, if any, does not open; does it confirm a pending call. */
  handleSealed(body: Uint8Array): Confirmed | undefined {
    for (const { call, peerKey, hello, keys, opener } of this.#pending) {
      try {
        const { number, plaintext } = opener.open(body);
        this.#pending.length = 0;
        return { call, peerKey, hello, keys, opener, frame: number, content: plaintext };
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
      }
    }
    return undefined;
  }
}

const refused = (what: string): ProtocolError => new ProtocolError('bad-handshake', `handshake: ${what}`);
