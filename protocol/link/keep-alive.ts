import type { Millis } from '../units.js';
import type { LineTimes } from './line-times.js';
import type { LinkTimers } from './timers.js';

/** A session on which nothing was heard for so long is probed, ms. The responder's is longer, so that one side probes. */
const IDLE = { initiator: 75_000, responder: 90_000 } as const;

/** The same while something is awaited that the peer will say by itself: a peer that is gone should not cost a minute. */
const ATTENTIVE_IDLE = 4000;

/** A peer that answers no question for so long is dead, ms. */
const DEAD_AFTER = 30_000;
/** And so many of the longest frames, on a slow line. */
const DEAD_AFTER_FRAMES = 4;

/** Notices that the peer has fallen silent: probes it, at first rarely, then often, and gives it up. */
export class KeepAlive {
  readonly #times: LineTimes;
  readonly #timers: LinkTimers;
  readonly #idle: number;
  readonly #deadAfter: number;
  #attentive = false;
  #probeDue = false;
  #lastHeardAt: Millis | undefined;

  constructor(times: LineTimes, timers: LinkTimers, initiator: boolean, deadAfter: number | undefined) {
    this.#times = times;
    this.#timers = timers;
    this.#idle = initiator ? IDLE.initiator : IDLE.responder;
    this.#deadAfter = deadAfter ?? DEAD_AFTER + DEAD_AFTER_FRAMES * times.largestFrameTime;
  }

  get lastHeardAt(): Millis | undefined {
    return this.#lastHeardAt;
  }

  /** A question is to be sent whose only purpose is an answer. */
  get probeDue(): boolean {
    return this.#probeDue;
  }

  /** A valid sealed frame has come, or the handshake has ended. */
  noteHeard(now: Millis): void {
    this.#lastHeardAt = now;
    this.#probeDue = false;
    this.#timers.clear('probe');
    this.#timers.clear('dead');
    this.#setIdle(now);
  }

  /** Something is awaited from the peer, or no longer. */
  attend(attentive: boolean): void {
    if (attentive === this.#attentive) return;
    this.#attentive = attentive;
    if (this.#lastHeardAt !== undefined) this.#setIdle(this.#lastHeardAt);
  }

  /** The peer is in the midst of sending: it has fallen silent when nothing comes for two of its frames and a little. */
  expectMore(now: Millis): void {
    const { probeInterval, peerFrameTime, lead } = this.#times;
    const at = now + Math.max(probeInterval, probeInterval / 2 + lead + 2 * peerFrameTime);
    const set = this.#timers.at('keep-alive');
    if (set === undefined || at < set) this.#timers.set('keep-alive', at);
  }

  #setIdle(since: Millis): void {
    this.#timers.set(
      'keep-alive',
      since + (this.#attentive ? ATTENTIVE_IDLE + 4 * this.#times.peerFrameTime : this.#idle),
    );
  }

  /** Something was sent, or waits to be sent, that needs an answer. */
  noteAsked(now: Millis): void {
    if (!this.#timers.isSet('dead')) this.#timers.set('dead', now + this.#deadAfter);
  }

  /** A prompt was sent: it is to be answered although something is heard all the time. */
  notePrompted(now: Millis): void {
    if (!this.#timers.isSet('deaf')) this.#timers.set('deaf', now + this.#deadAfter);
  }

  /** A prompt has reached the peer, or nothing is asked any more. */
  notePromptSeen(): void {
    this.#timers.clear('deaf');
  }

  /** Asks for a sign of life now, and again until there is one. */
  probe(now: Millis): void {
    this.#probeDue = true;
    this.noteAsked(now);
  }

  /** `wanting`: a stream has stopped, and goes on as soon as the sender hears where. */
  noteProbeSent(now: Millis, wanting: boolean): void {
    this.#probeDue = false;
    this.#timers.set('probe', now + (wanting ? this.#times.wantingInterval : this.#times.probeInterval));
  }
}
