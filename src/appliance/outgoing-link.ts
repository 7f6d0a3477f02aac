import type { Millis } from '../../protocol/units.js';
import type { Clock } from '../platform/clock.js';
import type { Call, CallEnd } from '../replication/call.js';
import { TransportError } from '../transport/errors.js';
import type { Dialer, Transport } from '../transport/transport.js';
import { BackOff, DIALLED_LINE, STANDING_LINE } from './back-off.js';
import { silenceOn } from './line-patience.js';
import type { LinkPosition, LinkTraits } from './link-choice.js';
import type { LinkMeter } from './link-meter.js';
import { makeCall, type Meeting, type Site } from './site.js';

/** A configured way to call a peer. */
export interface PeerLink extends LinkTraits {
  readonly dialer: Dialer;
}

export interface OutgoingLinkOptions {
  readonly link: PeerLink;
  readonly meter: LinkMeter;
  readonly site: Site;
  readonly peerKey: Uint8Array;
  readonly clock: Clock;
  /** The link stands elsewhere now. */
  readonly onChange: () => void;
  readonly onMeeting: (meeting: Meeting) => void;
  /** An attempt has failed before there was a line. */
  readonly onTrouble: (error: Error) => void;
  readonly onEnd: (end: CallEnd) => void;
}

/** One link, and at most one call on it: dials when told to, and knows where it stands and when it may be tried again. */
export class OutgoingLink {
  readonly meter: LinkMeter;
  readonly traits: LinkTraits;
  readonly #options: OutgoingLinkOptions;
  readonly #backOff: BackOff;
  #state: Exclude<LinkPosition, { kind: 'up' }> | { readonly kind: 'up'; readonly since: Millis };
  #patience = 0;
  #attempt: AbortController | null = null;
  #call: Call | null = null;
  #transport: Transport | null = null;
  #running: Promise<void> = Promise.resolve();
  #heldUntil: Millis | null = null;

  constructor(options: OutgoingLinkOptions) {
    this.#options = options;
    this.meter = options.meter;
    this.traits = options.link;
    this.#backOff = new BackOff(options.link.dialer.type === 'modem' ? DIALLED_LINE : STANDING_LINE);
    this.#state = { kind: 'down', retryAt: options.clock.now() };
  }

  get name(): string {
    return this.#options.link.dialer.name;
  }

  get position(): LinkPosition {
    const state = this.#state;
    if (state.kind === 'up') {
      const heardAt = this.#call?.lastHeardAt ?? state.since;
      return { kind: 'up', heardAt, patience: this.#patience };
    }
    if (state.kind === 'down' && this.#heldUntil !== null) {
      return { kind: 'down', retryAt: Math.max(state.retryAt, this.#heldUntil) as Millis };
    }
    return state;
  }

  /** The line of the call, once it is open. */
  get transport(): Transport | null {
    return this.#transport;
  }

  dial(): void {
    this.#running = this.#run();
  }

  /** Ends the call, or calls the attempt off. */
  drop(why: 'done' | 'replaced' | 'shutdown'): void {
    if (this.#call !== null) this.#call.close(why);
    else this.#attempt?.abort(new TransportError('closed', `${this.name}: called off`));
  }

  /** No call before that time; null: whenever it is wanted. */
  hold(until: Millis | null): void {
    this.#heldUntil = until;
    // It was let go by somebody: no back-off then.
    if (until === null && this.#state.kind === 'down') {
      this.#state = { kind: 'down', retryAt: this.#options.clock.now() };
    }
  }

  async close(): Promise<void> {
    this.drop('shutdown');
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, meter, onChange } = this.#options;
    const attempt = new AbortController();
    this.#attempt = attempt;
    this.#heldUntil = null;
    this.#state = { kind: 'dialling' };
    meter.state = 'opening';
    let retryAt: Millis;
    try {
      const end = await this.#converse(await this.#options.link.dialer.dial(attempt.signal), attempt.signal);
      retryAt = this.#restAfter(end);
      meter.state = end.established ? 'waiting' : 'failed';
      this.#options.onEnd(end);
    } catch (error) {
      if (attempt.signal.aborted) {
        retryAt = this.#backOff.afterEnd(clock.now());
        meter.state = 'waiting';
      } else {
        const retryable = !(error instanceof TransportError) || error.retryable;
        retryAt = this.#backOff.afterFailure(clock.now(), retryable);
        meter.state = 'failed';
        this.#options.onTrouble(error as Error);
      }
    }
    this.#attempt = null;
    this.#state = { kind: 'down', retryAt };
    onChange();
  }

  async #converse(transport: Transport, signal: AbortSignal): Promise<CallEnd> {
    const { site, peerKey, clock, meter, onChange } = this.#options;
    if (signal.aborted) {
      await transport.close();
      throw signal.reason;
    }
    this.#patience = silenceOn(transport);
    this.#transport = transport;
    this.#state = { kind: 'calling', since: clock.now(), patience: this.#patience };
    meter.state = 'connecting';
    let disconnected: () => void = () => undefined;
    const call = makeCall({
      site,
      transport,
      peerKey,
      onMeeting: (meeting) => {
        disconnected();
        this.#state = { kind: 'up', since: clock.now() };
        disconnected = meter.connected(meeting.peer);
        this.#options.onMeeting(meeting);
        onChange();
      },
    });
    this.#call = call;
    const count = meter.watch(transport, call);
    onChange();
    const end = await call.ended;
    this.#call = null;
    this.#transport = null;
    count();
    disconnected();
    return end;
  }

  #restAfter(end: CallEnd): Millis {
    const now = this.#options.clock.now();
    const { kind } = this.#state;
    if (end.reason === 'closed-here') return this.#backOff.afterEnd(now);
    if (!end.established || kind !== 'up') return this.#backOff.afterFailure(now, true);
    const isMeant = end.reason === 'closed-by-peer' && (end.why === 'done' || end.why === 'replaced');
    if (isMeant) return this.#backOff.afterEnd(now);
    return this.#backOff.afterLoss(now, now - this.#state.since);
  }
}
